"""Searches: dense, lexical and hybrid, similar chunks, a chunk's neighbors."""
