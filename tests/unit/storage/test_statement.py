"""The statement of a hybrid search as it is sent: `hybrid.sql` beside this file, to be read, and to be seen to change.

`python tests/unit/storage/test_statement.py` writes it anew after a change that is wanted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy
from sqlalchemy.dialects import registry

from embedpipe.storage.search.options import Search
from embedpipe.storage.search.statement_cache import prepared
from embedpipe.storage.tables import Collection, VectorIndex
from embedpipe.types import ModelSpec

FILE = Path(__file__).with_name("hybrid.sql")
DIALECT: Any = registry.load("postgresql.psycopg")()
MODEL = ModelSpec(name="model", dimensions=384)
COLLECTION = Collection("embedpipe", 1, "default", "english", 1, MODEL, "float32", VectorIndex())


def sent(search: Search) -> str:
    """Return the text that the driver is given."""
    sql, _ = prepared(COLLECTION, search, DIALECT, exact=False, ties=False)
    return sql + "\n"


def hybrid(**options: Any) -> Search:
    """Return a hybrid search."""
    return Search(mode="hybrid", text="tea", vector=np.ones(384), **options)


@pytest.mark.skipif(sqlalchemy.__version__ < "2.1", reason="older versions of SQLAlchemy name some columns otherwise")
def test_the_statement_of_a_hybrid_search_is_the_one_on_file() -> None:
    assert sent(hybrid()) == FILE.read_text(encoding="utf-8")


def test_only_what_a_search_brings_is_bound() -> None:
    names = {"vector", "words", "dense_weight"}
    assert {part.partition(")")[0] for part in sent(hybrid()).split("%(")[1:]} == names
    more = sent(hybrid(threshold=0.5))
    assert {part.partition(")")[0] for part in more.split("%(")[1:]} == names | {"threshold"}


if __name__ == "__main__":
    FILE.write_text(sent(hybrid()), encoding="utf-8")


def test_a_query_is_taken_apart_once() -> None:
    assert sent(hybrid()).count("word_pieces(") == 1
    assert sent(Search(mode="lexical", text="tea")).count("word_pieces(") == 1
