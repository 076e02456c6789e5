-- Whether each chunk is stemmed by its own language is a part of `lexical`. While another index of words is built beside
-- the one in use, `next_lexical` is what `lexical` will be. NULL if none is built.
ALTER TABLE collections ADD COLUMN next_lexical jsonb;

-- Return the text search configuration for a language: that of this name, or of a code (ISO 639) such as de, deu or de-AT.
-- For the code of any other language it is `simple`, which stems nothing. For everything else it is `otherwise`.
CREATE FUNCTION text_configuration(language text, otherwise regconfig) RETURNS regconfig
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    code CONSTANT text := lower(substring(language FROM '^([a-zA-Z]{2,3})([-_].*)?$'));
    known CONSTANT text := CASE
        WHEN code IN ('ar', 'ara') THEN 'arabic'
        WHEN code IN ('hy', 'hye', 'arm') THEN 'armenian'
        WHEN code IN ('eu', 'eus', 'baq') THEN 'basque'
        WHEN code IN ('ca', 'cat') THEN 'catalan'
        WHEN code IN ('da', 'dan') THEN 'danish'
        WHEN code IN ('nl', 'nld', 'dut') THEN 'dutch'
        WHEN code IN ('en', 'eng') THEN 'english'
        WHEN code IN ('et', 'est') THEN 'estonian'
        WHEN code IN ('fi', 'fin') THEN 'finnish'
        WHEN code IN ('fr', 'fra', 'fre') THEN 'french'
        WHEN code IN ('de', 'deu', 'ger') THEN 'german'
        WHEN code IN ('el', 'ell', 'gre') THEN 'greek'
        WHEN code IN ('hi', 'hin') THEN 'hindi'
        WHEN code IN ('hu', 'hun') THEN 'hungarian'
        WHEN code IN ('id', 'ind') THEN 'indonesian'
        WHEN code IN ('ga', 'gle') THEN 'irish'
        WHEN code IN ('it', 'ita') THEN 'italian'
        WHEN code IN ('lt', 'lit') THEN 'lithuanian'
        WHEN code IN ('ne', 'nep') THEN 'nepali'
        WHEN code IN ('no', 'nor', 'nb', 'nob', 'nn', 'nno') THEN 'norwegian'
        WHEN code IN ('pt', 'por') THEN 'portuguese'
        WHEN code IN ('ro', 'ron', 'rum') THEN 'romanian'
        WHEN code IN ('ru', 'rus') THEN 'russian'
        WHEN code IN ('sr', 'srp') THEN 'serbian'
        WHEN code IN ('es', 'spa') THEN 'spanish'
        WHEN code IN ('sv', 'swe') THEN 'swedish'
        WHEN code IN ('ta', 'tam') THEN 'tamil'
        WHEN code IN ('tr', 'tur') THEN 'turkish'
        WHEN code IN ('yi', 'yid') THEN 'yiddish'
    END;
    found regconfig;
BEGIN
    IF language IS NOT NULL THEN
        SELECT oid INTO found FROM pg_catalog.pg_ts_config
        WHERE cfgname IN (known, lower(language)) AND pg_catalog.pg_ts_config_is_visible(oid) LIMIT 1;
    END IF;
    RETURN coalesce(found, CASE WHEN code IS NULL THEN otherwise ELSE 'pg_catalog.simple' END);
END $$;

-- As before, and also if the language of the chunk has changed.
CREATE OR REPLACE FUNCTION forget_words() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    rewritten text := '';
BEGIN
    -- A transaction with an older snapshot would not see, and so not remove, what was indexed since.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'chunks are rewritten and deleted in READ COMMITTED transactions only while the index of words '
            'of their collection is built anew' USING ERRCODE = 'feature_not_supported';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        rewritten := 'JOIN new_rows USING (key) WHERE (old_rows.header, old_rows.content, old_rows.metadata -> ''language'')'
            ' IS DISTINCT FROM (new_rows.header, new_rows.content, new_rows.metadata -> ''language'')';
    END IF;
    -- As `lexical/index.py` counts: 0 stands for the number of chunks, -1 for the sum of their lengths.
    EXECUTE format(
        'WITH gone AS ('
        '    DELETE FROM %1$I.%2$I WHERE key IN (SELECT old_rows.key FROM old_rows %3$s) RETURNING length, terms'
        '), counts AS ('
        '    SELECT term, -count(*) AS chunks FROM gone, unnest(terms) AS term GROUP BY term'
        '    UNION ALL SELECT 0, -count(*) FROM gone'
        '    UNION ALL SELECT -1, -sum(length) FROM gone'
        ')'
        'INSERT INTO %1$I.%4$I (bucket, terms, chunks)'
        'SELECT (term & 63)::smallint, array_agg(term), array_agg(chunks) FROM counts WHERE chunks <> 0 GROUP BY 1',
        TG_TABLE_SCHEMA, TG_ARGV[0], rewritten, TG_ARGV[0] || '_deltas'
    );
    RETURN NULL;
END $$;
