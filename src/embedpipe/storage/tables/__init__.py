"""The catalogue and the tables of a collection: their definition, migration and row-level security."""
