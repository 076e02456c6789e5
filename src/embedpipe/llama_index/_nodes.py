"""Convert LlamaIndex's nodes to chunks and exactly back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc
from pydantic_core import PydanticSerializationError, to_jsonable_python

from embedpipe.errors import InputError
from embedpipe.llama_index._plain import plain
from embedpipe.storage.types import dumps, in_jsonb_order
from embedpipe.types import TABLE_HEADER, Chunk, SearchResult

logger = logging.getLogger(__name__)

_KINDS: dict[str, type[BaseNode]] = {
    kind.class_name(): kind for kind in (TextNode, IndexNode, ImageNode, Node, Document)
}
OBJECT_KINDS = (IndexNode.class_name(), ImageNode.class_name())
"""The nodes (and their subclasses) that a `VectorStoreIndex` also keeps in its own index structure."""

_RESOURCES = ("text_resource", "image_resource", "audio_resource", "video_resource")
_VALUE = "value"

_OWN_COLUMNS = {"id_", "embedding", "metadata", "text", "class_name"}


def to_chunk(node: BaseNode, chunk_index: int = 0) -> Chunk:
    """Convert a node. Text, metadata, ids and offsets get columns of their own. The rest becomes the payload.

    Raises:
        InputError: If the node cannot be stored. The message names the node and its document.
    """
    if type(node) not in _KINDS.values():
        logger.warning("A node of type %s will be returned as a %s", type(node).__name__, _kind(node).__name__)
    what = f"Node {node.node_id!r:.200}"
    if node.ref_doc_id is not None:
        what += f" of document {node.ref_doc_id!r:.200}"
    try:
        metadata = plain(node.metadata, f"{what}, metadata")
    except RecursionError:
        raise InputError(f"{what}, metadata: a value is nested too deeply. Flatten it.") from None
    dumps(metadata, what=f"{what}, metadata")  # the store's own check would not name the node and document
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    header = metadata.get(TABLE_HEADER)
    start, end = getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)
    return Chunk(
        text=text,
        start_index=0 if start is None else start,
        end_index=(start or 0) + len(text) if end is None else end,
        chunk_index=chunk_index,
        metadata=metadata,
        document_id=node.ref_doc_id,
        id=node.node_id,
        payload=_payload(node, what),
        header=header if isinstance(header, str) and header else None,
    )


def _kind(node: BaseNode) -> type[BaseNode]:
    return next((kind for kind in type(node).__mro__ if kind in _KINDS.values()), TextNode)


def _payload(node: BaseNode, what: str) -> dict[str, Any]:
    relationships = {relation: _plainly_related(related, what) for relation, related in node.relationships.items()}
    copied: dict[str, Any] = {"relationships": relationships}
    # The object of an IndexNode may be anything. Pydantic would serialise it, so it gets a form of its own below.
    if isinstance(node, IndexNode):
        copied["obj"] = None
    try:
        content = node.model_copy(update=copied).model_dump(mode="json", exclude_defaults=True, exclude=_OWN_COLUMNS)
    except PydanticSerializationError as error:
        raise InputError(f"{what} has a value without a JSON form: {error}. Convert it first.") from error
    payload = {name: value for name, value in content.items() if name not in _OWN_COLUMNS}
    if payload.get("relationships"):
        payload["relationships"] = in_jsonb_order(
            {name: _related_in_order(related) for name, related in payload["relationships"].items()}
        )
    if isinstance(node, IndexNode):
        payload["obj"] = _object_record(node.obj, what)
    for name in _RESOURCES:
        resource = getattr(node, name, None)
        if isinstance(resource, MediaResource) and resource.data is not None:  # pydantic leaves data out
            payload[name] = {**(payload.get(name) or {}), "data": resource.data.decode()}
    if payload.get("text_resource"):
        payload["text_resource"] = {**payload["text_resource"], "text": None}
    return in_jsonb_order({"class_name": _kind(node).class_name(), **payload})


def _plainly_related(related: Any, what: str) -> Any:
    if isinstance(related, list):
        return [_plainly_related(each, what) for each in related]
    return related.model_copy(update={"metadata": plain(related.metadata, f"{what}, metadata of a related node")})


def _related_in_order(related: Any) -> Any:
    """Put the fields of related nodes into the order of jsonb. Only the order of their metadata must be kept."""
    return [in_jsonb_order(each) for each in related] if isinstance(related, list) else in_jsonb_order(related)


def _object_record(value: Any, what: str) -> dict[str, Any] | None:
    """Return the stored form of an `IndexNode`'s object, which must be a node or have an exact JSON form."""
    if value is None:
        return None
    if isinstance(value, BaseNode):
        record: dict[str, Any] = to_jsonable_python(doc_to_json(value))
        return record
    try:
        dumps({_VALUE: value}, what=what)
    except InputError as error:
        raise InputError(
            f"{what}: its obj is a {type(value).__name__}, which cannot be stored. Leave obj out and pass the object "
            "to VectorStoreIndex(objects=...) or to the retriever's object_map."
        ) from error
    return {_VALUE: value}


def _object_of(record: Any) -> Any:
    if isinstance(record, dict) and "__type__" in record:
        return json_to_doc(record)
    if isinstance(record, dict) and record.keys() == {_VALUE}:
        return record[_VALUE]
    return json.loads(record) if isinstance(record, str) else record  # the form of earlier versions


def to_node(chunk: Chunk) -> BaseNode:
    """Return the node as it was written, without its vector. Chunks that were not nodes become text nodes."""
    if chunk.payload is None or "class_name" not in chunk.payload:
        return _foreign(chunk)
    content = dict(chunk.payload)
    kind = _KINDS.get(content.pop("class_name"), TextNode)
    content.update(id_=chunk.id, metadata=dict(chunk.metadata))
    if not issubclass(kind, Node):
        content["text"] = chunk.text
    elif content.get("text_resource"):
        content["text_resource"] = MediaResource(**{**content["text_resource"], "text": chunk.text})
    if kind is IndexNode:
        content["obj"] = _object_of(content.get("obj"))
    return kind(**content)


def _foreign(chunk: Chunk) -> TextNode:
    node = TextNode(
        id_=chunk.id,
        text=chunk.text,
        metadata=dict(chunk.metadata),
        start_char_idx=chunk.start_index,
        end_char_idx=chunk.end_index,
    )
    if chunk.document_id is not None:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=chunk.document_id)
    return node


def check_repeated(chunks: Iterable[Chunk]) -> None:
    """Raise `InputError` if two different nodes of one call have the same id: the first would be lost."""
    first: dict[str | None, Chunk] = {}
    for chunk in chunks:
        before = first.setdefault(chunk.id, chunk)
        if before._replace(chunk_index=chunk.chunk_index) != chunk:
            raise InputError(
                f"Two nodes have the id {chunk.id!r:.200} and differ: the second would replace the first. Give each "
                "its own id."
            )


def embeddings_of(nodes: Sequence[BaseNode]) -> list[list[float]]:
    """Return the nodes' vectors. Raise `InputError` with the id of the first node without one."""
    vectors = []
    for node in nodes:
        if node.embedding is None:
            raise InputError(f"Node {node.node_id!r:.200} has no embedding. Embed the nodes first.")
        vectors.append(node.embedding)
    return vectors


def with_scores(results: Iterable[SearchResult]) -> list[NodeWithScore]:
    return [NodeWithScore(node=to_node(result.chunk), score=result.score) for result in results]
