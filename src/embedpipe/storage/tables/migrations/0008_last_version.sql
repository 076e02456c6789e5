-- The highest number that a set of vectors of the collection ever had. The number of a set that was dropped is not used
-- again: a store that had opened it would find another model's vectors there.
ALTER TABLE collections ADD COLUMN last_version integer NOT NULL DEFAULT 1;

UPDATE collections SET last_version = (SELECT max(number) FROM vector_sets WHERE collection = collections.number);
