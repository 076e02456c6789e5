"""BM25 over plain PostgreSQL: the index of words, the ranking, the query language."""
