"""What an administrator does: diagnosis, health, listing, setting up, dumping."""
