"""Text in, cited passages out: chunking, embedding, pgvector storage, hybrid retrieval and answers."""

__version__ = "0.1.0"
