"""Documents of LangChain and LlamaIndex as documents of ours. No framework is imported: their attributes are enough."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from embedpipe.types import Document


@runtime_checkable
class LangChainDocument(Protocol):
    """A LangChain `Document`, or anything with its attributes."""

    @property
    def page_content(self) -> str: ...

    @property
    def metadata(self) -> Mapping[Any, Any]: ...


@runtime_checkable
class LlamaIndexNode(Protocol):
    """A LlamaIndex `Document`, `TextNode` or `NodeWithScore`, or anything with its attributes."""

    @property
    def metadata(self) -> Mapping[Any, Any]: ...

    @property
    def node_id(self) -> str: ...

    def get_content(self, metadata_mode: Any = ...) -> str: ...


AnyDocument: TypeAlias = Document | LangChainDocument | LlamaIndexNode

_PLACES = ("page", "sheet", "slide", "row", "seq_num", "start_index")
"""Metadata by which loaders and splitters tell the parts of a source apart."""


class Converted(NamedTuple):
    """A framework's document, and the ids that it may have. The first that no other document has is taken.

    `numbered` says that a number makes the last id unique. Otherwise the document counts as repeated.
    """

    document: Document
    ids: list[str]
    numbered: bool


def converted(item: LangChainDocument | LlamaIndexNode) -> Converted:
    """Return a framework's document as ours, with its own text and metadata.

    Its id is its own. If it has none, the id is its source and the page, row or offset in it. Parts of one source that
    cannot be told apart, and documents without a source, get a hash of source and text.
    """
    if isinstance(item, LangChainDocument):
        text, own = item.page_content, getattr(item, "id", None)
        metadata = {**item.metadata, **_page(item.metadata, first=0)}
        source, start = _first_text(item.metadata, "source", "file_path", "url"), None
    else:
        node = getattr(item, "node", item)  # of a NodeWithScore
        text, own = node.get_content(metadata_mode="none"), _chosen_id(node)
        metadata = {**node.metadata, **_page(node.metadata, first=1)}
        source = _first_text(node.metadata, "file_path", "source", "url")  # PyMuPDFReader has its page as source
        origin = getattr(node, "ref_doc_id", None)
        if origin and not _is_random(origin):
            source = origin
        start = getattr(node, "start_char_idx", None) if origin else None
    places = {"start_index": start, **metadata}
    place = "&".join(f"{key}={places[key]}" for key in _PLACES if places.get(key) is not None)
    stored = {key: _plain(value) for key, value in metadata.items()}
    if own:
        ids = [str(own), f"{own}#{place}"] if place else [str(own)]
    elif source:
        name = f"{source}#{place}" if place else source
        ids = [name, f"{name}#{_digest(source, text)}"]
    else:
        ids = [_digest("", text)]
    return Converted(Document(id=ids[0], text=text, metadata=stored), ids, numbered=not own)


def _chosen_id(node: LlamaIndexNode) -> str | None:
    """Return a node's id, None if LlamaIndex made it up: then it would be another one in the next run.

    A document gets a random id if none is given. A node parser gives its nodes random ids, and names their document.
    """
    set_by_caller = "id_" in getattr(node, "model_fields_set", {"id_"})
    made_by_parser = getattr(node, "ref_doc_id", None) is not None and _is_random(node.node_id)
    return node.node_id if set_by_caller and not made_by_parser else None


def _is_random(name: str) -> bool:
    try:
        return uuid.UUID(name).version == 4
    except ValueError:
        return False


def _page(metadata: Mapping[Any, Any], *, first: int) -> dict[str, int]:
    """Return the number of the page, from 1, if a loader says it in another way.

    LangChain's PDF loaders count `page` from 0, and only they say `total_pages`. Others have `page_number`. LlamaIndex
    has `page_label`.
    """
    page = metadata.get("page")
    if isinstance(page, int) and "total_pages" in metadata:
        return {"page": page + 1 - first}
    label = str(metadata.get("page_number", metadata.get("page_label", "")))
    return {"page": int(label)} if page is None and label.isascii() and label.isdigit() else {}


def _first_text(metadata: Mapping[Any, Any], *keys: str) -> str:
    """Return the first of these values that names something."""
    values = (metadata.get(key) for key in keys)
    return next((str(value) for value in values if value and isinstance(value, str | os.PathLike)), "")


def _plain(value: object) -> object:
    """Return a date, path or UUID as text, and a tuple as a list: JSON has none of them."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, os.PathLike | uuid.UUID):
        return str(value)
    return [*map(_plain, value)] if isinstance(value, tuple) else value


def _digest(source: str, text: object) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in (source, str(text)):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
