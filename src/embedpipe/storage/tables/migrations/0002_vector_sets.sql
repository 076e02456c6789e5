-- Whoever rewrites a chunk, it loses its vectors of models that are not the active one. They then count as missing and
-- are embedded again. The trigger is on the chunks of collections that have such vectors. Its argument is the
-- collection's number.
CREATE FUNCTION forget_rewritten() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    idle integer;
BEGIN
    FOR idle IN EXECUTE format(
        'SELECT number FROM %I.vector_sets WHERE collection = $1 AND NOT active', TG_TABLE_SCHEMA
    ) USING TG_ARGV[0]::integer
    LOOP
        -- A transaction with an older snapshot would not see, and so not remove, vectors that were added since.
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'chunks are rewritten in READ COMMITTED transactions only while their collection has '
                'vectors of another model' USING ERRCODE = 'feature_not_supported';
        END IF;
        EXECUTE format(
            'DELETE FROM %I.%I AS vectors USING old_rows JOIN new_rows ON new_rows.key = old_rows.key '
            'WHERE vectors.key = old_rows.key '
            'AND (old_rows.header, old_rows.content) IS DISTINCT FROM (new_rows.header, new_rows.content)',
            TG_TABLE_SCHEMA, format('c%s_idle_vectors_%s', TG_ARGV[0], idle)
        );
    END LOOP;
    RETURN NULL;
END $$;
