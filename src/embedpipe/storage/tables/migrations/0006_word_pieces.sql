-- Which words a collection's index of words holds. 1: those of PostgreSQL's parser. 2: the pieces of compounds, too.
-- An upgrade builds another index of words, with the next number.
ALTER TABLE collections
    ADD COLUMN segmentation integer NOT NULL DEFAULT 1,
    ADD COLUMN word_index integer NOT NULL DEFAULT 1;

-- Return the words that the compounds of a text add to those of PostgreSQL's own parser, in any order, and some of them
-- several times. The parser keeps "TCP/IP", hosts, paths and camelCase whole, splits "C++" and "snake_case", and takes the
-- dash of "9000-3094" for a sign.
--
-- Line 1 has the names of compounds that the parser splits, line 2 everything else:
--
--     C++         Cplusplus               |
--     9000-3094   90003094                | 9000 3094
--     v2.3.1      v2v3v1                  | 2.3.1 v2v3 v2 2
--     TCP/IP                              | TCPIP TCP IP
--     Wi-Fi                               | WiFi Wi Fi
--     getUserName                         | get User Name
--     caf\u00e9                           | cafe
--
-- With `in_place`, return the whole text with its compounds taken apart where they stand, in which phrases are found.
--
-- Texts and queries are both read with it, and it depends on nothing but its arguments. Its time grows with the length
-- of the text: callers cut words at 500 characters, no pattern reads further than a word, and what patterns look back or
-- ahead at is a single character wherever it may be met often. PostgreSQL looks back from the start of the text.
CREATE FUNCTION word_pieces(content text, in_place boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $function$
BEGIN
    -- Most texts of prose end here. Classes such as [[:alpha:]] would take twice the time of these ranges.
    IF content !~ ('[^\s!-/:-@[-`{-~\u2010-\u2027][-./\\&+@_\u2010\u2011][^\s!-/:-@[-`{-~\u2010-\u2027]'
        '|[a-zA-Z\u00c0-\u1fff][0-9+#]|[0-9][a-zA-Z\u00c0-\u1fff]|[a-z\u00df-\u00ff][A-Z\u00c0-\u00de]'
        '|[A-Z]{2}[a-z]{2}|(?:^|[^-+.0-9a-zA-Z])[-+.][0-9a-zA-Z\u00c0-\u1fff]|[0-9],[0-9]'
        '|[\u00aa\u00b2\u00b3\u00b9\u00ba\u00c0-\u02ff\u0300-\u036f\u0370-\u03ff\u0401\u0451\u1e00-\u1fff\ufb00-\ufb06\uff01-\uff5e]') THEN
        RETURN CASE WHEN in_place THEN content ELSE '' END;
    END IF;
    DECLARE
        -- Punctuation, of which some joins words to one name; and what it separates: letters, digits, and marks, which
        -- belong to the words of Hindi and Thai.
        joint CONSTANT text := '&+._\u2010\u2011-';
        strong CONSTANT text := '!-%''-*,/:-@[-^`{-~\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2012-\u2027'
            '\u2030-\u205e\u2e00-\u2e7f\u3001-\u303f';
        sign CONSTANT text := strong || joint;
        word CONSTANT text := '[^\s\u00a0\u2000-\u200b\u3000' || sign || ']';
        letter CONSTANT text := '[a-zA-Z\u00c0-\u1fff]';
        small CONSTANT text := '[a-z\u00df-\u00ff]';
        capital CONSTANT text := '[A-Z\u00c0-\u00de]';
        accent CONSTANT text := '[\u00aa\u00b2\u00b3\u00b9\u00ba\u00c0-\u02ff\u0300-\u036f\u0370-\u03ff\u0401\u0451'
            '\u1e00-\u1fff\ufb00-\ufb06\uff01-\uff5e]';
        compound CONSTANT text := word || '[-./\\&+@_\u2010\u2011]' || word || '|' || letter || '[0-9+#]|[0-9]' || letter
            || '|' || small || capital || '|[A-Z]{2}[a-z]{2}|(?<![-+.0-9a-zA-Z])[-+.]' || word || '|[0-9],[0-9]';
        -- What separates the words of a compound: not a quote, which encloses a phrase, nor the point of a number.
        between CONSTANT text := '(?<=' || word || ')(?:(?![.,"])[' || sign || ']|[.,](?![0-9])|(?<![0-9])[.,])+(?='
            || word || ')|(?<!' || word || ')[-+](?=[0-9])';
        -- Where a word within a compound begins: getUser, HTTPServer (but IDs), GPT4, 3D.
        boundary CONSTANT text := '(?<=' || small || ')(?=' || capital || ')|(?<=' || capital || ')(?=' || capital
            || small || small || ')|(?<=' || letter || ')(?=[0-9])|(?<=[0-9])(?=' || letter || ')';
        -- Scripts without spaces between words, which callers write as pairs of characters.
        unspaced CONSTANT text := '[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf'
            '\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]+';
        compounds text;
        named text;
        names text;
        parts text;
        pieces text;
        versions text;
        beginnings text;
        folded text;
    BEGIN
        IF in_place THEN
            RETURN regexp_replace(content, between, ' ', 'g');
        END IF;
        IF octet_length(content) > char_length(content) THEN
            content := regexp_replace(content, unspaced, ' ', 'g');
        END IF;
        SELECT string_agg(match[1], ' ') INTO compounds
        FROM regexp_matches(content, '\S*(?:' || compound || ')\S*', 'g') AS match;
        IF compounds IS NOT NULL THEN
            -- 1,234,567 is 1234567.
            compounds := regexp_replace(compounds, '(?<=[0-9]),(?=[0-9]{3}(?![0-9]))', '', 'g');
            -- The parser keeps compounds of letters and signs whole, and splits others. The names of these go to line 1.
            compounds := concat(
                regexp_replace(compounds, '(?<!\S)[^\s.("''[{0-9_+#&][^\s0-9_+#&]*(?!\S)', ' ', 'g'), E'\n',
                regexp_replace(compounds, '\S*[0-9_+#&]\S*|(?<!\S)[.("''[{]\S*', ' ', 'g')
            );
            -- C++, C#, .NET and .env become words.
            named := regexp_replace(compounds, '(?<=' || word || ')\+\+', 'plusplus', 'g');
            named := regexp_replace(named, '(?<=' || letter || ')#(?!' || word || ')', 'sharp', 'g');
            named := regexp_replace(named, '(?<![^\s"''([{<])\.(?=' || letter || ')', 'dot', 'g');
            parts := concat(regexp_replace(compounds, between, ' ', 'g'), ' ', regexp_replace(named, between, ' ', 'g'));
            -- TCPIP, WiFi, nodejs
            names := regexp_replace(named, '(?<!\S)(' || word || '+)/(' || word || '+)(?!\S)', '\1\2', 'g');
            names := regexp_replace(names, '(?<!\S)[' || strong || ']+|[' || strong || ']+(?!\S)', ' ', 'g');
            names := regexp_replace(
                names, '(?<!\S)' || word || '+(?=[' || strong || '])|(?<=[' || strong || '])' || word || '+(?![^\s' || strong
                || '])', ' ', 'g'
            );
            names := regexp_replace(names, '[' || strong || ']', ' ', 'g');
            names := regexp_replace(
                names, '(?<=' || word || ')(?:(?!\.)[' || joint || ']|\.(?![0-9])|(?<![0-9])\.)(?=' || word || ')', '', 'g'
            );
            -- lampd.conf of /etc/lamp/lampd.conf
            pieces := concat(parts, ' ', regexp_replace(compounds, '[' || strong || ']', ' ', 'g'));
            -- Words of words. Those that change between letters and digits more than three times are codes without any.
            IF parts ~ (letter || '[0-9]|[0-9]' || letter || '|' || small || capital || '|[A-Z]{2}[a-z]{2}') THEN
                parts := regexp_replace(parts, '\S{65,}', ' ', 'g');
                parts := regexp_replace(
                    parts, '\S*' || letter || '[0-9]+' || letter || '+[0-9]+' || letter || '\S*', ' ', 'g'
                );
                pieces := concat(pieces, ' ', regexp_replace(parts, boundary, ' ', 'g'));
            END IF;
            -- A version is found by its beginning, too: the word v2v3 stands for 2.3 and all that begins so. The query 2.3 has
            -- both words, and so prefers 2.3 to 2.3.1.
            IF compounds ~ '[0-9]\.[0-9]' THEN
                SELECT string_agg('v' || array_to_string(v, 'v'), ' '), string_agg(concat_ws(' ',
                    array_to_string(v, '.'),
                    CASE WHEN v[3] IS NOT NULL THEN concat(v[1], ' v', v[1], ' v', v[1], 'v', v[2]) END,
                    CASE WHEN v[4] IS NOT NULL THEN concat('v', v[1], 'v', v[2], 'v', v[3]) END
                ), ' ') INTO versions, beginnings
                FROM regexp_matches(compounds, '(?<![0-9.])([0-9]+)\.([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?', 'g') AS v;
                names := concat_ws(' ', versions, names);
                pieces := concat_ws(' ', pieces, beginnings);
            END IF;
        END IF;
        -- Compatible forms (NFKD) without the accents of Latin and Greek letters. Those of others make other letters.
        IF content ~ accent AND getdatabaseencoding() = 'UTF8' THEN
            SELECT string_agg(accented, ' ') INTO folded FROM unnest(string_to_array(content, ' ')) AS accented
            WHERE octet_length(accented) > char_length(accented);
            folded := concat(folded, ' ', pieces);
            folded := replace(replace(folded, E'\u00df', 'ss'), E'\u00fe', 'th');
            folded := replace(replace(folded, E'\u00e6', 'ae'), E'\u0153', 'oe');
            folded := translate(
                folded, E'\u00d8\u00f8\u0141\u0142\u0110\u0111\u00f0\u0127\u0131', 'OoLlDddhi'
            );
            folded := regexp_replace(
                normalize(folded, NFKD), '([a-zA-Z\u0370-\u03ff\u0415\u0435])[\u0300-\u036f]+', '\1', 'g'
            );
            pieces := concat_ws(' ', pieces, normalize(folded, NFC));
        END IF;
        RETURN concat(split_part(names, E'\n', 1), E'\n', split_part(names, E'\n', 2), ' ', translate(pieces, E'\n', ' '));
    END;
END $function$;

-- Whoever rewrites or deletes a chunk takes it out of the index of words that is being built, and counts it off there.
-- The trigger is on the chunks of collections that have such an index. Its argument is the index's table.
CREATE FUNCTION forget_words() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    rewritten text := '';
BEGIN
    -- A transaction with an older snapshot would not see, and so not remove, what was indexed since.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'chunks are rewritten and deleted in READ COMMITTED transactions only while the index of words '
            'of their collection is built anew' USING ERRCODE = 'feature_not_supported';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        rewritten := 'JOIN new_rows USING (key) '
            'WHERE (old_rows.header, old_rows.content) IS DISTINCT FROM (new_rows.header, new_rows.content)';
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
