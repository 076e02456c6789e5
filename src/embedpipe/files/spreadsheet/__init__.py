"""Spreadsheets: each sheet under its name, its rows as records under their header."""

from embedpipe.files.spreadsheet._document import parse

__all__ = ["parse"]
