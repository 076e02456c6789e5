"""Export a collection to files that other programs read: documents, chunks, vectors and metadata in Parquet.

It needs the extra `export`.
"""

from embedpipe.export.format import Stored
from embedpipe.export.reading import Export, load_export
from embedpipe.export.writing import ExportReport, export_collection

__all__ = ["Export", "ExportReport", "Stored", "export_collection", "load_export"]
