-- The catalogue: one row for each collection, and one for each model whose vectors it holds.
-- Tables of a collection are named by its number, never by its name.
CREATE TABLE collections (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    language regconfig NOT NULL,
    lexical boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE vector_sets (
    collection integer NOT NULL REFERENCES collections ON DELETE CASCADE,
    number integer NOT NULL,
    fingerprint text NOT NULL,
    model jsonb NOT NULL,
    dimensions integer NOT NULL,
    precision text NOT NULL CHECK (precision IN ('float32', 'float16')),
    index jsonb NOT NULL,
    active boolean NOT NULL,
    PRIMARY KEY (collection, number)
);

CREATE UNIQUE INDEX vector_sets_one_active ON vector_sets (collection) WHERE active;

-- B-trees on metadata keys, named c<collection>_chunks_field_<number>.
CREATE TABLE metadata_indexes (
    collection integer NOT NULL REFERENCES collections ON DELETE CASCADE,
    number integer NOT NULL,
    path text[] NOT NULL,
    type text NOT NULL CHECK (type IN ('number', 'string')),
    PRIMARY KEY (collection, number),
    UNIQUE (collection, path, type)
);
