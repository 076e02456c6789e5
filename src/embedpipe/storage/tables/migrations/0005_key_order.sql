-- jsonb sorts the keys of an object and loses their order. If it was another one, `key_order` keeps it.
DO $$
DECLARE
    made integer;
BEGIN
    FOR made IN SELECT number FROM collections ORDER BY number LOOP
        EXECUTE format('ALTER TABLE IF EXISTS c%s_documents ADD COLUMN key_order jsonb', made);
        EXECUTE format('ALTER TABLE IF EXISTS c%s_chunks ADD COLUMN key_order jsonb', made);
    END LOOP;
END $$;
