"""The tables as SQLAlchemy objects, the catalogue that records them, and its migrations."""

from embedpipe.storage.tables import catalogue
from embedpipe.storage.tables.catalogue import (
    CollectionSettings,
    check_same,
    describe,
    embedding_versions,
    find_collection,
    migrate,
    next_lexical,
    pending_migrations,
    set_next_lexical,
    set_word_index,
)
from embedpipe.storage.tables.collection import (
    BM25,
    SEGMENTATION,
    Catalogue,
    Collection,
    default_precision,
    quoted,
)
from embedpipe.storage.tables.ddl import ddl
from embedpipe.storage.tables.grants import check_owner, give_rights
from embedpipe.storage.tables.history import AS_OF, PastTables, drop_history_statements, past_tables
from embedpipe.storage.tables.index_types import INDEX_FROM, METHODS, VectorIndex, default_index
from embedpipe.storage.tables.lexical_index import (
    CHUNKS,
    DIMENSIONS,
    LENGTHS,
    LexicalTables,
    create_lexical_statements,
    lexical_tables,
    written_tables,
)
from embedpipe.storage.tables.once import once
from embedpipe.storage.tables.schema_function import SchemaFunction
from embedpipe.storage.tables.tenancy import checked_tenant, enter_tenant
from embedpipe.storage.tables.view import CreateView, DropView, readable_view

__all__ = [
    "AS_OF",
    "BM25",
    "CHUNKS",
    "DIMENSIONS",
    "INDEX_FROM",
    "LENGTHS",
    "METHODS",
    "SEGMENTATION",
    "Catalogue",
    "Collection",
    "CollectionSettings",
    "CreateView",
    "DropView",
    "LexicalTables",
    "PastTables",
    "SchemaFunction",
    "VectorIndex",
    "catalogue",
    "check_owner",
    "check_same",
    "checked_tenant",
    "create_lexical_statements",
    "ddl",
    "default_index",
    "default_precision",
    "describe",
    "drop_history_statements",
    "embedding_versions",
    "enter_tenant",
    "find_collection",
    "give_rights",
    "lexical_tables",
    "migrate",
    "next_lexical",
    "once",
    "past_tables",
    "pending_migrations",
    "quoted",
    "readable_view",
    "set_next_lexical",
    "set_word_index",
    "written_tables",
]
