"""Chunking, embedding and storage wired as one flow: documents in, chunks with vectors in the store, one report."""

from embedpipe.ingest.drivers import adrive, drive
from embedpipe.ingest.flow import IngestSettings, Progress, ingest_flow
from embedpipe.ingest.report import ProcessingStats

__all__ = ["IngestSettings", "ProcessingStats", "Progress", "adrive", "drive", "ingest_flow"]
