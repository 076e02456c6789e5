-- One row for each collection that follows a table of the user's own. `definition` says which of its columns are searched.
CREATE TABLE attachments (
    collection integer PRIMARY KEY REFERENCES collections ON DELETE CASCADE,
    definition jsonb NOT NULL,
    attached_at timestamptz NOT NULL DEFAULT now()
);

-- Keep everybody but `sync` from writing documents and chunks of a collection that follows a table. The trigger is on these
-- two tables. Its arguments are the collection's number and the name of the table that it follows.
CREATE FUNCTION refuse_writes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('embedpipe.syncs', true) IS DISTINCT FROM TG_ARGV[0] THEN
        RAISE EXCEPTION 'the collection follows the table %, and only sync writes it. Change the rows of that table, or '
            'detach it first', TG_ARGV[1] USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NULL;
END $$;
