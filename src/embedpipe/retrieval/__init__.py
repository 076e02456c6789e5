"""Between the store and the answer: what is done to results that needs no database."""
