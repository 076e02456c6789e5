"""Changing the model of a collection: a second set of vectors, filled while the first serves."""
