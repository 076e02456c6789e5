WITH chunks_first AS 
(SELECT embedpipe.c1_chunks.key AS key 
FROM embedpipe.c1_chunks 
WHERE false), 
near AS 
(SELECT dense.key AS key, dense.distance AS distance, rank() OVER (ORDER BY dense.distance) AS rank 
FROM (SELECT near_by_index.key AS key, near_by_index.distance + 0 AS distance 
FROM (SELECT embedpipe.c1_vectors_1.key AS key, embedpipe.c1_vectors_1.embedding <=> %(vector)s AS distance 
FROM embedpipe.c1_vectors_1 ORDER BY embedpipe.c1_vectors_1.embedding <=> %(vector)s
 FETCH FIRST (101) ROWS ONLY) AS near_by_index ORDER BY distance
 FETCH FIRST (101) ROWS ONLY) AS dense), 
lexical_text AS MATERIALIZED 
(SELECT CASE WHEN (char_length(%(words)s::VARCHAR) > 450 AND %(words)s::VARCHAR ~ '\S{100}') THEN regexp_replace(regexp_replace(%(words)s::VARCHAR, '([^\s  -​　!-/:-@\u005b-\u0060{-~¡-©«-´¶-¹»-¿‐-⁞←-⯿⸀-⹿、-〿！-／：-＠🀀-🫿฀-໿က-႟ក-៿぀-ヿㇰ-ㇿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ𠀀-𿿿]{250}[^\s  -​　!-/:-@\u005b-\u0060{-~¡-©«-´¶-¹»-¿‐-⁞←-⯿⸀-⹿、-〿！-／：-＠🀀-🫿฀-໿က-႟ក-៿぀-ヿㇰ-ㇿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ𠀀-𿿿]{250})', '\1 ', 'g'), '([^\s  -​　]{225}[^\s  -​　]{225}[^\s  -​　!-/:-@\u005b-\u0060{-~¡-©«-´¶-¹»-¿‐-⁞←-⯿⸀-⹿、-〿！-／：-＠🀀-🫿]*[!-/:-@\u005b-\u0060{-~¡-©«-´¶-¹»-¿‐-⁞←-⯿⸀-⹿、-〿！-／：-＠🀀-🫿])', '\1 ', 'g') ELSE %(words)s::VARCHAR END AS text), 
lexical_pieces AS MATERIALIZED 
(SELECT embedpipe.word_pieces(lexical_text.text) AS text 
FROM lexical_text), 
lexical_words AS MATERIALIZED 
(SELECT anon_3.term AS term, greatest(sum(anon_3.n), max(anon_3.least)) AS count 
FROM (SELECT (hashtext(lexemes.lexeme) & 536870911) + 1 AS term, coalesce(cardinality(lexemes.positions), 0) AS n, 0 AS least 
FROM unnest(to_tsvector(CAST('english' AS REGCONFIG), (SELECT CASE WHEN (char_length(lexical_text.text) = octet_length(lexical_text.text)) THEN lexical_text.text ELSE regexp_replace(regexp_replace(lexical_text.text, '([฀-໿က-႟ក-៿぀-ヿㇰ-ㇿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ𠀀-𿿿]+)', ' \1 ', 'g'), '(?<=[฀-໿က-႟ក-៿぀-ヿㇰ-ㇿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ𠀀-𿿿])([฀-໿က-႟ក-៿぀-ヿㇰ-ㇿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ𠀀-𿿿])(?=[฀-໿က-႟ក-៿぀-ヿㇰ-ㇿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ𠀀-𿿿])', '\1 \1', 'g') END AS anon_4 
FROM lexical_text))) AS lexemes UNION ALL SELECT (hashtext(lexemes.lexeme) & 536870911) + 1 AS term, 0 AS n, 1 AS least 
FROM unnest(to_tsvector(CAST('english' AS REGCONFIG), split_part((SELECT lexical_pieces.text 
FROM lexical_pieces), E'\n', 1))) AS lexemes UNION ALL SELECT (hashtext(lexemes.lexeme) & 536870911) + 1 AS term, 0 AS n, 0.25 AS least 
FROM unnest(to_tsvector(CAST('english' AS REGCONFIG), split_part((SELECT lexical_pieces.text 
FROM lexical_pieces), E'\n', 2))) AS lexemes) AS anon_3 GROUP BY anon_3.term), 
lexical_terms AS MATERIALIZED 
(SELECT lexical_words.term AS term 
FROM lexical_words UNION ALL SELECT totals.term AS term 
FROM unnest(ARRAY[0, -1]) AS totals(term)), 
lexical_counts AS MATERIALIZED 
(SELECT parts.term AS term, CAST(sum(parts.chunks) AS FLOAT) AS chunks 
FROM (SELECT embedpipe.c1_lexical_terms.term AS term, embedpipe.c1_lexical_terms.chunks AS chunks 
FROM lexical_terms JOIN embedpipe.c1_lexical_terms ON embedpipe.c1_lexical_terms.term = lexical_terms.term UNION ALL SELECT lexical_terms.term AS term, recent.chunks AS chunks 
FROM lexical_terms JOIN LATERAL (SELECT embedpipe.c1_lexical_deltas.chunks[array_position(embedpipe.c1_lexical_deltas.terms, lexical_terms.term)] AS chunks 
FROM embedpipe.c1_lexical_deltas 
WHERE embedpipe.c1_lexical_deltas.bucket = CAST(lexical_terms.term & 63 AS SMALLINT)
 LIMIT ALL OFFSET 0) AS recent ON true) AS parts GROUP BY parts.term), 
lexical_query_terms AS MATERIALIZED 
(SELECT weighed.term AS term, weighed.weight AS weight, row_number() OVER (ORDER BY weighed.weight DESC, weighed.term) AS place, sum(weighed.chunks) OVER (ORDER BY weighed.weight DESC, weighed.term ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS chunks, sum(weighed.weight) OVER (ORDER BY weighed.weight DESC, weighed.term ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) * 2.2 AS reach, weighed.weight * 2.2 AS bound, count(*) OVER () AS terms, (SELECT lexical_counts.chunks 
FROM lexical_counts 
WHERE lexical_counts.term = -1) AS length, (SELECT lexical_counts.chunks 
FROM lexical_counts 
WHERE lexical_counts.term = 0) AS total 
FROM (SELECT lexical_words.term AS term, lexical_words.count * ln(1 + (((SELECT lexical_counts.chunks 
FROM lexical_counts 
WHERE lexical_counts.term = 0) - lexical_counts.chunks) + 0.5) / CAST((lexical_counts.chunks + 0.5) AS FLOAT)) AS weight, lexical_counts.chunks AS chunks 
FROM lexical_words JOIN lexical_counts ON lexical_counts.term = lexical_words.term 
WHERE lexical_counts.chunks > 0 ORDER BY lexical_words.count * ln(1 + (((SELECT lexical_counts.chunks 
FROM lexical_counts 
WHERE lexical_counts.term = 0) - lexical_counts.chunks) + 0.5) / CAST((lexical_counts.chunks + 0.5) AS FLOAT)) DESC, lexical_words.term 
 LIMIT 16000) AS weighed), 
lexical_query AS MATERIALIZED 
(SELECT CAST(concat('{', string_agg(concat(lexical_query_terms.term, ':', lexical_query_terms.weight), ','), '}/536870912') AS SPARSEVEC(536870912)) AS vector, array_agg(lexical_query_terms.term) FILTER (WHERE lexical_query_terms.place = 1 OR lexical_query_terms.chunks <= 600 + 10 * 100) AS first, 0.8999999999999999 / CAST(greatest(min(lexical_query_terms.length) / CAST(min(lexical_query_terms.total) AS FLOAT), 1.0) AS FLOAT) AS slope 
FROM lexical_query_terms), 
lexical_first AS 
(SELECT embedpipe.c1_lexical.key AS key, ((-(embedpipe.c1_lexical.weights <#> (SELECT lexical_query.vector 
FROM lexical_query))) * 2.2) / CAST((1 + 0.3 + embedpipe.c1_lexical.length * (SELECT lexical_query.slope 
FROM lexical_query)) AS FLOAT) AS score 
FROM embedpipe.c1_lexical 
WHERE embedpipe.c1_lexical.terms && (SELECT lexical_query.first 
FROM lexical_query) ORDER BY score DESC 
 LIMIT 164), 
lexical_threshold AS MATERIALIZED 
(SELECT coalesce((SELECT lexical_first.score 
FROM lexical_first ORDER BY lexical_first.score DESC 
 LIMIT 1 OFFSET 100 - 1), 0.0) * 0.99999 AS score), 
lexical_open AS MATERIALIZED 
(SELECT lexical_query_terms.term AS term, lexical_query_terms.weight AS weight, lexical_query_terms.place AS place, lexical_query_terms.chunks AS chunks, lexical_query_terms.reach AS reach, lexical_query_terms.bound AS bound, lexical_query_terms.terms AS terms, lexical_query_terms.length AS length, lexical_query_terms.total AS total, lexical_threshold.score AS score 
FROM lexical_query_terms JOIN lexical_query ON true JOIN lexical_threshold ON true 
WHERE lexical_query_terms.term != all(lexical_query.first) AND lexical_query_terms.reach >= lexical_threshold.score), 
lexical_second_round AS MATERIALIZED 
(SELECT array_agg(lexical_open.term) AS heads, array_agg(lexical_open.term) AS partners 
FROM lexical_open 
WHERE lexical_open.bound >= lexical_open.score OR lexical_open.terms > 64 
HAVING count(*) > 0 UNION ALL SELECT ARRAY[lexical_open.term] AS anon_6, (SELECT array_agg(lighter.term) AS array_agg_1 
FROM lexical_open AS lighter 
WHERE lighter.place > lexical_open.place AND lighter.reach >= lexical_open.score - lexical_open.bound) AS anon_7 
FROM lexical_open 
WHERE NOT (lexical_open.bound >= lexical_open.score OR lexical_open.terms > 64)), 
found AS 
(SELECT lexical.key AS key, lexical.score AS score, lexical.cut AS cut, rank() OVER (ORDER BY lexical.score DESC) AS rank 
FROM (SELECT lexical_best.key AS key, lexical_best.score AS score, count(*) OVER () >= 164 AS cut 
FROM (SELECT found.key AS key, found.score AS score 
FROM (SELECT anon_2.key AS key, anon_2.score AS score 
FROM (SELECT lexical_first.key AS key, lexical_first.score AS score 
FROM lexical_first) AS anon_2 UNION SELECT anon_5.key AS key, anon_5.score AS score 
FROM (SELECT DISTINCT found.key AS key, found.score AS score 
FROM lexical_second_round JOIN LATERAL (SELECT embedpipe.c1_lexical.key AS key, ((-(embedpipe.c1_lexical.weights <#> (SELECT lexical_query.vector 
FROM lexical_query))) * 2.2) / CAST((1 + 0.3 + embedpipe.c1_lexical.length * (SELECT lexical_query.slope 
FROM lexical_query)) AS FLOAT) AS score 
FROM embedpipe.c1_lexical 
WHERE embedpipe.c1_lexical.terms && lexical_second_round.heads AND embedpipe.c1_lexical.terms && lexical_second_round.partners) AS found ON true ORDER BY found.score DESC 
 LIMIT 164) AS anon_5) AS found ORDER BY found.score DESC
 FETCH FIRST (100) ROWS WITH TIES) AS lexical_best) AS lexical), 
nearest AS 
(SELECT near.key AS key, near.distance AS distance, near.rank AS rank 
FROM near 
WHERE near.rank < 101), 
pool AS 
(SELECT nearest.key AS key 
FROM nearest UNION SELECT found.key AS key 
FROM found), 
"both" AS MATERIALIZED 
(SELECT pool.key AS key, 1 - (embedpipe.c1_vectors_1.embedding <=> %(vector)s) AS similarity, coalesce(((-(embedpipe.c1_lexical.weights <#> (SELECT lexical_query.vector 
FROM lexical_query))) * 2.2) / CAST((1 + 0.3 + embedpipe.c1_lexical.length * (SELECT lexical_query.slope 
FROM lexical_query)) AS FLOAT), 0.0) AS lexical_score, nearest.rank AS dense_rank, found.rank AS lexical_rank 
FROM pool JOIN embedpipe.c1_vectors_1 ON embedpipe.c1_vectors_1.key = pool.key LEFT OUTER JOIN embedpipe.c1_lexical ON embedpipe.c1_lexical.key = pool.key LEFT OUTER JOIN nearest ON nearest.key = pool.key LEFT OUTER JOIN found ON found.key = pool.key), 
standards AS MATERIALIZED 
(SELECT measured.cosine_mean AS cosine_mean, measured.cosine_spread AS cosine_spread, measured.bm25_spread AS bm25_spread, CASE WHEN measured.sampled THEN 0.4 + 0.3 * greatest(least(((measured.nearest - measured.cosine_mean) / CAST(measured.cosine_spread AS FLOAT) - 1.5) / CAST(2.0 AS FLOAT), 1.0), 0.0) ELSE 0.5 END AS dense_weight, coalesce((SELECT max(lexical_query_terms.total) AS max_1 
FROM lexical_query_terms) >= 100 AND (measured.chunks IS NULL OR (SELECT max(lexical_query_terms.total) AS max_1 
FROM lexical_query_terms) >= 2 * measured.chunks), false) AS due 
FROM (SELECT coalesce(min(embedpipe.vector_sets.cosine_mean), avg("both".similarity ORDER BY "both".similarity)) AS cosine_mean, greatest(coalesce(min(embedpipe.vector_sets.cosine_spread), stddev_pop("both".similarity ORDER BY "both".similarity)), 0.001) AS cosine_spread, greatest(stddev_pop("both".lexical_score ORDER BY "both".lexical_score), 1.0) AS bm25_spread, max("both".similarity) AS nearest, min(embedpipe.vector_sets.cosine_mean) IS NOT NULL AS sampled, min(embedpipe.vector_sets.cosine_chunks) AS chunks 
FROM "both" LEFT OUTER JOIN embedpipe.vector_sets ON embedpipe.vector_sets.collection = 1 AND embedpipe.vector_sets.number = 1) AS measured)
 SELECT embedpipe.c1_chunks.id, embedpipe.c1_chunks.document_id, embedpipe.c1_chunks.chunk_index, embedpipe.c1_chunks.content, embedpipe.c1_chunks.start_index, embedpipe.c1_chunks.end_index, embedpipe.c1_chunks.metadata, embedpipe.c1_chunks.payload, embedpipe.c1_chunks.header, embedpipe.c1_chunks.key_order, best.similarity AS similarity, best.lexical_score AS lexical_score, best.dense_rank AS dense_rank, best.lexical_rank AS lexical_rank, best.dense_weight AS dense_weight, best.score AS score, best.due AS due, (SELECT count(*) = 101 AND max(near.rank) < 101 AS anon_1 
FROM near) OR coalesce((SELECT bool_or(found.cut) AS bool_or_1 
FROM found), false) AS cut, CASE WHEN ((SELECT count(*) AS count_2 
FROM "both") < 5) THEN (SELECT count(*) AS count_3 
FROM nearest) < (SELECT count(*) AS count_4 
FROM (SELECT embedpipe.c1_vectors_1.key AS key 
FROM embedpipe.c1_vectors_1 
 LIMIT 5) AS stored) ELSE false END AS too_few 
FROM (SELECT) AS always LEFT OUTER JOIN (embedpipe.c1_chunks JOIN (SELECT fused.key AS key, fused.similarity AS similarity, fused.lexical_score AS lexical_score, fused.dense_rank AS dense_rank, fused.lexical_rank AS lexical_rank, fused.dense_weight AS dense_weight, fused.due AS due, fused.score AS score 
FROM (SELECT standardised.key AS key, standardised.similarity AS similarity, standardised.lexical_score AS lexical_score, standardised.dense_rank AS dense_rank, standardised.lexical_rank AS lexical_rank, standardised.dense_weight AS dense_weight, standardised.due AS due, CAST(0.5 + (0.5 * standardised.z) / CAST((1 + abs(standardised.z)) AS FLOAT) AS FLOAT) AS score 
FROM (SELECT "both".key AS key, "both".similarity AS similarity, "both".lexical_score AS lexical_score, "both".dense_rank AS dense_rank, "both".lexical_rank AS lexical_rank, coalesce(%(dense_weight)s, standards.dense_weight) AS dense_weight, CAST("both".lexical_score / CAST(standards.bm25_spread AS FLOAT) + coalesce(%(dense_weight)s, standards.dense_weight) * (("both".similarity - standards.cosine_mean) / CAST(standards.cosine_spread AS FLOAT) - "both".lexical_score / CAST(standards.bm25_spread AS FLOAT)) AS FLOAT) AS z, standards.due AS due 
FROM "both" JOIN standards ON true) AS standardised) AS fused ORDER BY fused.score DESC
 FETCH FIRST (5) ROWS WITH TIES) AS best ON embedpipe.c1_chunks.key = best.key) ON true ORDER BY best.score DESC, embedpipe.c1_chunks.id 
 LIMIT 5
