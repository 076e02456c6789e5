-- Return a date of metadata as seconds since 1970 in UTC, NULL for what is none. A text is ISO 8601: a year, a month, a day,
-- or a day with a time, which is in UTC where no offset stands. A number is a year (1000 to 9999), else seconds since 1970,
-- or milliseconds from 10^11 on. No value raises an error.
CREATE FUNCTION seconds_of_date(value jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'number' THEN (
            SELECT CASE
                WHEN n BETWEEN 1000 AND 9999 AND n = trunc(n) THEN (make_date(n::integer, 1, 1) - DATE '1970-01-01') * 86400.0
                WHEN abs(n) < 1e11 THEN n
                WHEN abs(n) < 1e14 THEN n / 1000
            END FROM (SELECT (value #>> '{}')::numeric AS n OFFSET 0) AS number
        )::double precision
        WHEN 'string' THEN (
            SELECT CASE WHEN day <= extract(day FROM month + interval '1 month' - interval '1 day') THEN
                (month - DATE '1970-01-01' + day - 1) * 86400.0 + coalesce(part[4]::integer, 0) * 3600
                + coalesce(part[5]::integer, 0) * 60 + coalesce(part[6]::numeric, 0)
                - coalesce((part[7] || '1')::integer * (part[8]::integer * 3600 + coalesce(part[9]::integer, 0) * 60), 0)
            END
            FROM (
                SELECT part, make_date(part[1]::integer, coalesce(part[2], '1')::integer, 1) AS month,
                    coalesce(part[3], '1')::integer AS day
                FROM regexp_match(
                    value #>> '{}',
                    '^\s*((?!0000)[0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01])(?:[Tt ]([01][0-9]|2[0-3]):([0-5][0-9])'
                    '(?::([0-5][0-9](?:\.[0-9]{1,9})?))?\s?(?:[Zz]|([-+])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?)?)?)?\s*$'
                ) AS part
                WHERE part IS NOT NULL OFFSET 0
            ) AS date
        )::double precision
    END
$$;
