"""Ingest on a Ray cluster, into one PostgreSQL: the steps of a local ingest as transformations of Ray Data.

read -> cut into chunks -> embed, in a pool of actors -> write

    service = SemanticSearchService("all-MiniLM-L6-v2", collection="docs")
    report = ingest(ray.data.read_parquet("s3://bucket/docs/"), service, workers=Workers(embed=8))

The same hashes as in a local ingest decide what is new or changed. So you can mix both, and a run that ended early is
finished by the next. Workers read EMBEDPIPE_DATABASE_URL and the provider's key from their own environment. Neither a
URL nor a key is sent to them.
"""

from embedpipe.distributed.pipeline import Workers, ingest
from embedpipe.distributed.sources import Columns, from_documents, read_files

__all__ = ["Columns", "Workers", "from_documents", "ingest", "read_files"]
