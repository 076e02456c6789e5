"""Documents in, chunks with their vectors out, one report: chunking, embedding and storage wired.

`Ingestor` runs it. It gathers documents into batches (`source`) and has each taken through the steps of `BatchWork`.
"""

from embedpipe.ingest.batch_loop import run_batch
from embedpipe.ingest.batch_work import BatchWork
from embedpipe.ingest.contextual_header import ContextualHeader, Spent
from embedpipe.ingest.framework_documents import AnyDocument
from embedpipe.ingest.headers import Headers
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.ingest.ingestor import Ingestor, aafter_ingest, after_ingest
from embedpipe.ingest.languages import with_languages
from embedpipe.ingest.preparing import DocumentPreparer
from embedpipe.ingest.processor import AsyncBatchProcessor, Collector
from embedpipe.ingest.progress_bar import ProgressBar
from embedpipe.ingest.source import Documents, Intake, SeenIds, SourceBatch, batches
from embedpipe.ingest.stats import ProcessedDocument, ProcessingStats, Progress, StatsAccumulator
from embedpipe.ingest.table_sync import TableSync

__all__ = [
    "AnyDocument",
    "AsyncBatchProcessor",
    "BatchWork",
    "Collector",
    "ContextualHeader",
    "DocumentPreparer",
    "Documents",
    "Headers",
    "IngestSettings",
    "Ingestor",
    "Intake",
    "ProcessedDocument",
    "ProcessingStats",
    "Progress",
    "ProgressBar",
    "SeenIds",
    "SourceBatch",
    "Spent",
    "StatsAccumulator",
    "TableSync",
    "aafter_ingest",
    "after_ingest",
    "batches",
    "run_batch",
    "with_languages",
]
