"""Chunking, embedding and storage wired: documents stream in, chunks with vectors come out, one report."""

from embedpipe.ingest.engine import Engine
from embedpipe.ingest.headers import Headers
from embedpipe.ingest.processor import AsyncBatchProcessor, Collector
from embedpipe.ingest.progress import ProgressBar
from embedpipe.ingest.report import ProcessedDocument, ProcessingStats, Progress, Tally
from embedpipe.ingest.settings import IngestSettings
from embedpipe.ingest.source import Documents

__all__ = [
    "AsyncBatchProcessor",
    "Collector",
    "Documents",
    "Engine",
    "Headers",
    "IngestSettings",
    "ProcessedDocument",
    "ProcessingStats",
    "Progress",
    "ProgressBar",
    "Tally",
]
