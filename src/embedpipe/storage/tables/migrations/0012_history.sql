-- Whether a collection keeps what was rewritten and deleted, with the time from which and until which it held.
ALTER TABLE collections ADD COLUMN history boolean NOT NULL DEFAULT false;

-- Keep a document as it was before it is rewritten or deleted. The trigger is on the documents of collections with
-- history. Its argument is the table that keeps them.
CREATE FUNCTION keep_document() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- A transaction that began earlier may come second. It must not end a version before that began.
    moment timestamptz := greatest(now(), OLD.updated_at);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.content, OLD.metadata, OLD.key_order) IS NOT DISTINCT FROM (NEW.content, NEW.metadata, NEW.key_order) THEN
            NEW.updated_at := OLD.updated_at;
            RETURN NEW;
        END IF;
        NEW.updated_at := moment;
    END IF;
    -- What a transaction writes twice never was as it wrote it first.
    IF OLD.updated_at < moment THEN
        EXECUTE format(
            'INSERT INTO %I.%I (id, content, hash, metadata, key_order, updated_at, until) '
            'SELECT ($1).id, ($1).content, ($1).hash, ($1).metadata, ($1).key_order, ($1).updated_at, $2',
            TG_TABLE_SCHEMA, TG_ARGV[0]
        ) USING OLD, moment;
    END IF;
    RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
END $$;

-- Do the same for a chunk, with its vector and its words, which are still those of before. The arguments are the table
-- that keeps chunks; those of vectors and of kept vectors; and, with an index of words, those of words and kept words.
CREATE FUNCTION keep_chunk() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := greatest(now(), OLD.since);
    kept bigint;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.since := OLD.since;
        IF OLD IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
        NEW.since := moment;
    END IF;
    IF OLD.since < moment THEN
        EXECUTE format(
            'INSERT INTO %I.%I (id, document_id, chunk_index, content, start_index, end_index, metadata, payload, header, '
            'key_order, since, until) '
            'SELECT ($1).id, ($1).document_id, ($1).chunk_index, ($1).content, ($1).start_index, ($1).end_index, '
            '($1).metadata, ($1).payload, ($1).header, ($1).key_order, ($1).since, $2 RETURNING key',
            TG_TABLE_SCHEMA, TG_ARGV[0]
        ) INTO kept USING OLD, moment;
        EXECUTE format(
            'INSERT INTO %1$I.%2$I (key, embedding) SELECT $1, embedding FROM %1$I.%3$I WHERE key = $2',
            TG_TABLE_SCHEMA, TG_ARGV[2], TG_ARGV[1]
        ) USING kept, OLD.key;
        IF TG_NARGS > 3 THEN
            EXECUTE format(
                'INSERT INTO %1$I.%2$I (key, length, reference, weights, terms) '
                'SELECT $1, length, reference, weights, terms FROM %1$I.%3$I WHERE key = $2',
                TG_TABLE_SCHEMA, TG_ARGV[4], TG_ARGV[3]
            ) USING kept, OLD.key;
        END IF;
    END IF;
    RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
END $$;

-- Answers that were kept, to be checked later. `document_ids` are those of all sources, not only of the cited ones:
-- `citations` holds text of each. A row is its tenant's alone, and '' stands for a collection without tenants.
CREATE TABLE answers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    collection integer NOT NULL REFERENCES collections ON DELETE CASCADE,
    tenant text NOT NULL DEFAULT coalesce(current_setting('embedpipe.tenant', true), ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    question text NOT NULL,
    answer text NOT NULL,
    model text,
    document_ids text[] NOT NULL,
    citations jsonb NOT NULL
);

CREATE INDEX answers_documents ON answers USING gin (document_ids);
ALTER TABLE answers ENABLE ROW LEVEL SECURITY;
ALTER TABLE answers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON answers USING (tenant = coalesce(current_setting('embedpipe.tenant', true), ''));
