-- Whether the rows of a collection belong to tenants, each of which sees its own.
ALTER TABLE collections ADD COLUMN tenants boolean NOT NULL DEFAULT false;
