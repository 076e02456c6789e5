-- Whether the rows of a collection belong to tenants. Each tenant then sees only its own.
ALTER TABLE collections ADD COLUMN tenants boolean NOT NULL DEFAULT false;
