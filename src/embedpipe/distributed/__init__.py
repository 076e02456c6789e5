"""Ingest on a Ray cluster: the stages of a local ingest as Ray Data transformations, into one PostgreSQL.

read -> cut into chunks -> embed, in a pool of actors -> write

    service = SemanticSearchService("all-MiniLM-L6-v2", collection="docs")
    report = ingest(ray.data.read_parquet("s3://bucket/docs/"), service, workers=Workers(embed=8))

What is new or changed is decided by the same hashes as in a local ingest, so that the two go together and a run that
ended early is finished by the next. Workers read EMBEDPIPE_DATABASE_URL and the provider's key from their own
environment: neither a URL nor a key travels.
"""

from embedpipe.distributed.pipeline import Workers, ingest
from embedpipe.distributed.sources import Columns, from_documents, read_files

__all__ = ["Columns", "Workers", "from_documents", "ingest", "read_files"]
