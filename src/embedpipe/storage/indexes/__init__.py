"""Building and dropping the vector index and indexes on metadata keys."""
