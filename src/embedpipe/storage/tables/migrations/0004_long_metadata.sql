-- Build the indexes for ranges over texts again, over the first 600 characters. A B-tree entry takes 2,704 bytes, so an
-- index over whole texts refused long ones.
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN SELECT collection, number, path FROM metadata_indexes WHERE type = 'string' LOOP
        EXECUTE format('DROP INDEX IF EXISTS %I', format('c%s_chunks_field_%s', old.collection, old.number));
        EXECUTE format(
            'CREATE INDEX %I ON %I (left(metadata #>> %L::text[], 600) COLLATE "C") '
            'WHERE coalesce(jsonb_typeof(metadata #> %L::text[]) = ''string'', false)',
            format('c%s_chunks_field_%s', old.collection, old.number),
            format('c%s_chunks', old.collection), old.path, old.path
        );
    END LOOP;
END $$;
