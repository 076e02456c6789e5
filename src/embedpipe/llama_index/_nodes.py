"""LlamaIndex's nodes as chunks, and back exactly."""

from __future__ import annotations

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
from pydantic_core import PydanticSerializationError

from embedpipe.errors import InputError
from embedpipe.storage.key_order import in_jsonb_order
from embedpipe.types import Chunk, SearchResult

logger = logging.getLogger(__name__)

_KINDS: dict[str, type[BaseNode]] = {
    kind.class_name(): kind for kind in (TextNode, IndexNode, ImageNode, Node, Document)
}
OBJECT_KINDS = (IndexNode.class_name(), ImageNode.class_name())
"""What a `VectorStoreIndex` keeps in its own books beside the vector store, subclasses among them."""

_OWN_COLUMNS = {"id_", "embedding", "metadata", "text", "class_name"}


def to_chunk(node: BaseNode) -> Chunk:
    """The chunk: text, metadata, ids and offsets in their columns, all else of the node as its payload."""
    if type(node) not in _KINDS.values():
        logger.warning("A node of the type %s will come back as a %s", type(node).__name__, _kind(node).__name__)
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    start, end = getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)
    return Chunk(
        text=text,
        start_index=0 if start is None else start,
        end_index=(start or 0) + len(text) if end is None else end,
        chunk_index=0,
        metadata=node.metadata,
        document_id=node.ref_doc_id,
        id=node.node_id,
        payload=_payload(node),
    )


def _kind(node: BaseNode) -> type[BaseNode]:
    return next((kind for kind in type(node).__mro__ if kind in _KINDS.values()), TextNode)


def _payload(node: BaseNode) -> dict[str, Any]:
    try:
        content = node.model_dump(mode="json", exclude_defaults=True, exclude=_OWN_COLUMNS)
    except PydanticSerializationError as error:
        raise InputError(f"Node {node.node_id!r:.200} holds what JSON cannot: {error}. Convert it first.") from error
    payload = {name: value for name, value in content.items() if name not in _OWN_COLUMNS}
    if payload.get("relationships"):
        payload["relationships"] = in_jsonb_order(
            {name: _related_in_order(related) for name, related in payload["relationships"].items()}
        )
    if payload.get("text_resource"):
        payload["text_resource"] = {**payload["text_resource"], "text": None}
    return in_jsonb_order({"class_name": _kind(node).class_name(), **payload})


def _related_in_order(related: Any) -> Any:
    """The fields of related nodes in an order that need not be kept: only that of their metadata says anything."""
    return [in_jsonb_order(each) for each in related] if isinstance(related, list) else in_jsonb_order(related)


def to_node(chunk: Chunk) -> BaseNode:
    """The node as it was written, without its vector; a text node, where something else wrote the chunk."""
    if chunk.payload is None or "class_name" not in chunk.payload:
        return _foreign(chunk)
    content = dict(chunk.payload)
    kind = _KINDS.get(content.pop("class_name"), TextNode)
    content.update(id_=chunk.id, metadata=dict(chunk.metadata))
    if not issubclass(kind, Node):
        content["text"] = chunk.text
    elif content.get("text_resource"):
        content["text_resource"] = MediaResource(**{**content["text_resource"], "text": chunk.text})
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


def embeddings_of(nodes: Sequence[BaseNode]) -> list[list[float]]:
    """The nodes' vectors. Raises `InputError` naming the first node without one."""
    vectors = []
    for node in nodes:
        if node.embedding is None:
            raise InputError(f"Node {node.node_id!r:.200} expected an embedding, got none. Embed the nodes first.")
        vectors.append(node.embedding)
    return vectors


def with_scores(results: Iterable[SearchResult]) -> list[NodeWithScore]:
    return [NodeWithScore(node=to_node(result.chunk), score=result.score) for result in results]
