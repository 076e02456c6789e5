"""The interface of parsers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from embedpipe._checks import check_fields
from embedpipe.types import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How files are read. Each format uses the options that concern it.

    Args:
        encoding: The encoding of text, CSV, HTML and other formats made of text. None to find it out.
        main_content: Whether only the main content of a page is read, without navigation, side bars and footers.
        text_fields: The fields of a JSON record that are its text, in this order. "a.b" names a field within another.
            All other fields become metadata. Empty to read every field as text.
        id_field: The field of a JSON record that is its id.
        reader: "docling" to read every format that docling knows by docling. None for embedpipe's own parsers.
        ocr: Whether pages of a PDF that have no text layer are read by OCR. It needs the extra `ocr`.
    """

    encoding: str | None = None
    main_content: bool = False
    text_fields: Sequence[str] = ()
    id_field: str | None = None
    reader: str | None = None
    ocr: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The text of a file, or of one record of it.

    Args:
        text: The text, as Markdown where the format has a structure.
        metadata: What the file says of itself, such as its title, as JSON has it.
        locations: From which offset in the text on its chunks get which metadata, in order, such as
            `Location(1200, {"page": 2})`.
        left_out: What the file holds and the text does not, a few words each, such as "2 equations".
        id: The record's id within the file. None to number the records.
    """

    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    locations: Sequence[Location] = ()
    left_out: Sequence[str] = ()
    id: str | None = None


Parser: TypeAlias = Callable[[bytes, str, ReadOptions], Parsed | Sequence[Parsed]]
"""Called with a file's content, its name for messages, and the options. It returns one text, or one for each record.

It raises `InputError` for a file that it cannot read.
"""


def joined(records: Sequence[Parsed]) -> Parsed:
    """Return one text of all records, a blank line between them. Each record's metadata become a location's."""
    texts: list[str] = []
    locations: list[Location] = []
    start = 0
    for number, record in enumerate(records, 1):
        known = {"record": number, **record.metadata}
        locations.append(Location(start, known))
        for offset, metadata in record.locations:
            locations.append(Location(start + offset, {**known, **metadata}))
        texts.append(record.text.rstrip("\n"))
        start += len(texts[-1]) + 2
    return Parsed("\n\n".join(texts) + "\n", {"records": len(records)}, locations, _all_left_out(records))


def _all_left_out(records: Iterable[Parsed]) -> list[str]:
    return [f"record {number}: {words}" for number, record in enumerate(records, 1) for words in record.left_out]
