"""Conditions on metadata: how they are written, and their SQL."""
