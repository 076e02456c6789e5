"""How Python values travel to PostgreSQL and back: arrays, vectors, JSON."""
