"""Connections, their settings, locks and retries: how a statement reaches PostgreSQL and what its errors mean."""
