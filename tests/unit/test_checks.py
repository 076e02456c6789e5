"""Every setting of every public dataclass, with values of other types and sizes: refused by name, or kept as a plain
value of Python.

The classes are those of the reference's pages. A new one fails here until it checks its fields, or is listed as one
that users only read.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from embedpipe.chunking import TokenChunker
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import ModelSpec

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

ONLY_READ = {
    *("CacheStats", "CatalogueModel", "EmbeddingAttempt", "EmbeddingBatch", "EmbeddingResponse", "EmbeddingResult"),
    *("Citation", "Passage", "RAGResponse", "SearchResult", "Statement"),
    *("AffectedAnswer", "CitationState", "CitedPlace"),
    *("CompressionReport", "Measured", "Report", "Run", "RunComparison", "View"),
    *("CollectionInfo", "Health", "ImportReport", "IndexProgress", "ReembedProgress", "UpgradeProgress"),
    *("CosineSample", "KeyDescription", "MetadataDescription", "Snippet", "ToolAnswer"),
    *("Event", "MetricsSummary", "StageSummary", "ProcessedDocument", "ProcessingStats", "Export", "ExportReport"),
    "Document",  # checked where it is ingested, so that one does not cost the others
    *("BatchWork", "Collection", "Finding", "Parsed", "ServerState", "SourceBatch"),
    *("Int8Quantizer", "Fault", "Request"),  # made by `fit`, by constructors, and by the server
}
LEFT_TO_THE_CLASS = {
    "Search.vector",  # checked when its dimension is known
    *("Table.key", "Table.text", "Table.metadata"),  # one name or a list of names, tried in test_attach.py
}
NEEDED: dict[str, dict[str, Any]] = {
    "BinaryQuantizer": {"dimensions": 8},
    "EvaluationSet": {"name": "set", "queries": {}, "relevant": {}},
    "ExcerptSet": {"name": "set", "queries": {}, "gold": {}, "documents": []},
    "Grid": {"chunkers": {"none": None}},
    "IngestSettings": {"chunker": None},
    "MetadataIndex": {"path": ("year",)},
    "ModelSpec": {"name": "model", "dimensions": 4},
    "Recency": {"key": "published"},
    "SemanticChunker": {"model": FakeEmbeddingModel()},
    "Table": {"name": "articles", "key": "id", "text": "body"},
    "Truncation": {"dimensions": 8},
}
NUMBERS = [True, False, np.True_, "1", b"1", "", Decimal(1), 1j, nan, inf, -inf, np.float64("nan"), -(10**400), 10**400]
OTHERS = [[1], ["x"], {}, {"x": 1}, object(), int, np.array([1, 2]), 10**5000]
TEXTS = [1, 1.0, True, b"x", "a\x00b", "\ud800", "half \udfff"]


def settings_classes() -> dict[str, type]:
    """The dataclasses of the reference that users make."""
    modules = {name for page in REFERENCE.glob("*.md") for name in re.findall(r"automodule:: (\S+)", page.read_text())}
    found: dict[str, type] = {}
    for module in map(importlib.import_module, sorted(modules)):
        for name, value in vars(module).items():
            public = name in getattr(module, "__all__", ()) or getattr(value, "__module__", "") == module.__name__
            if isinstance(value, type) and dataclasses.is_dataclass(value) and public and not name.startswith("_"):
                found[name] = value
    return {name: cls for name, cls in found.items() if name not in ONLY_READ}


CLASSES = settings_classes()
FIELDS = [(cls, field) for cls in CLASSES.values() for field in dataclasses.fields(cls) if field.init]
named = pytest.mark.parametrize(("cls", "field"), FIELDS, ids=[f"{cls.__name__}.{field.name}" for cls, field in FIELDS])


def made(cls: type, **changes: Any) -> Any:
    return cls(**NEEDED.get(cls.__name__, {}) | changes)


def kinds_of(cls: type, name: str) -> tuple[set[Any], list[str]]:
    """The plain types that a field's annotation names, and its choices."""
    hint = get_type_hints(cls)[name]
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    choices = [choice for part in parts if get_origin(part) is Literal for choice in get_args(part)]
    kinds = {part for part in parts if part in (int, float, bool, str, NoneType)}
    return (set(), []) if f"{cls.__name__}.{name}" in LEFT_TO_THE_CLASS else (kinds, choices)


def test_the_reference_has_settings() -> None:
    assert {"VectorIndex", "BM25", "ModelSpec", "Fusion", "RecursiveChunker", "ServerSettings"} <= CLASSES.keys()


@named
def test_a_setting_of_another_type_is_refused_by_name(cls: type, field: Any) -> None:
    kinds, choices = kinds_of(cls, field.name)
    if not kinds - {NoneType} and not choices:
        return
    wrong: list[Any] = [*OTHERS, *([] if NoneType in kinds else [None])]
    if int in kinds:
        wrong += [*NUMBERS, 1.0, 1.5, np.float32(2), Fraction(3, 2), 2**70, -(2**70), -1]
    elif float in kinds:
        wrong += NUMBERS
    elif bool in kinds:
        wrong += [0, 1, "true", "false", 1.0, np.int64(1)]
    if str in kinds:
        wrong = [value for value in wrong if not isinstance(value, str)] + TEXTS
    if choices:
        wrong += ["", "unknown", choices[0].upper(), f" {choices[0]}", [choices[0]], (choices[0],), {choices[0]: 1}]
    for value in wrong:
        with pytest.raises((ConfigurationError, InputError)) as caught:
            made(cls, **{field.name: value})
        assert field.name in str(caught.value) or "`" in str(caught.value), (value, caught.value)
        assert len(str(caught.value)) < 500


@named
def test_a_setting_is_kept_as_a_plain_value(cls: type, field: Any) -> None:
    kinds, choices = kinds_of(cls, field.name)
    whole = (np.int8, np.int64, np.uint16, int)
    candidates: list[tuple[Any, type]] = []
    if int in kinds or float in kinds:
        expected: type = int if int in kinds else float
        candidates += [(kind(number), expected) for number in (1, 2, 7, 64) for kind in whole]
    if float in kinds:
        candidates += [
            (kind(number), float) for number in (0.25, 1.0, 30.0) for kind in (np.float16, np.float64, float)
        ]
    if bool in kinds:
        candidates += [(value, bool) for value in (True, False, np.True_, np.False_)]
    candidates += [(np.str_(choice), str) for choice in choices]
    for value, expected in candidates:
        plain = expected(value)
        try:
            wanted = made(cls, **{field.name: plain})
        except (ConfigurationError, InputError):
            continue  # out of this field's range, or not with the other fields as they are
        got = made(cls, **{field.name: value})
        assert type(getattr(got, field.name)) is expected
        assert got == wanted or not cls.__dataclass_params__.eq  # type: ignore[attr-defined]
        assert repr(got) == repr(wanted)


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
def test_a_name_that_no_file_and_no_database_takes_is_refused(name: str) -> None:
    for changes in ({"name": name}, {"revision": name}, {"query_prompt": name}, {"aliases": (name,)}):
        with pytest.raises(ConfigurationError, match=r"half a character|NUL"):
            made(ModelSpec, **changes)


def test_lists_of_strings_are_no_single_string() -> None:
    with pytest.raises(ConfigurationError, match="aliases='abc' is no list of strings"):
        made(ModelSpec, aliases="abc")
    assert made(ModelSpec, aliases=["a", np.str_("b")]).aliases == ("a", "b")


def test_the_same_chunker_has_the_same_repr() -> None:
    """A document is cut again if its chunker's repr has changed."""
    assert repr(TokenChunker(chunk_size=np.int64(64))) == repr(TokenChunker(chunk_size=64))  # type: ignore[arg-type]
