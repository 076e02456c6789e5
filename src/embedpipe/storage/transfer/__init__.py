"""Collections in and out: snapshots, and importers for other stores' tables."""
