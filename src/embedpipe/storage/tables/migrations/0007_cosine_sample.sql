-- Mean and spread of the cosine between chunks, and how many chunks there were when they were sampled.
-- NULL in a collection of few chunks, or of tenants.
ALTER TABLE vector_sets
    ADD COLUMN cosine_mean float8,
    ADD COLUMN cosine_spread float8,
    ADD COLUMN cosine_chunks bigint;
