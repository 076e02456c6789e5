"""A LlamaIndex node postprocessor that reranks."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import SkipValidation

from embedpipe._threads import in_thread
from embedpipe.errors import InputError
from embedpipe.types import Chunk, Reranker, SearchResult


class EmbedPipeReranker(BaseNodePostprocessor):
    """Orders nodes with a reranker and keeps the best. A node's score becomes its rerank score.

    The input nodes are not changed. It raises `InputError` without a query, and the reranker's errors come through.

    Args:
        reranker: A `Reranker`.
        top_n: How many nodes to keep. None keeps all.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    reranker: SkipValidation[Reranker] = Field(exclude=True)
    top_n: int | None = Field(default=None, ge=1)

    @classmethod
    def class_name(cls) -> str:
        return "EmbedPipeReranker"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("The reranker needs the query. Pass query_bundle= or query_str=.")
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: type(self.reranker).__name__,
            EventPayload.QUERY_STR: query_bundle.query_str,
            EventPayload.TOP_K: self.top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            results = [_result(place, node) for place, node in enumerate(nodes)]
            reranked = self.reranker.rerank(query_bundle.query_str, results)[: self.top_n]
            best = [NodeWithScore(node=nodes[int(result.id)].node, score=result.rerank_score) for result in reranked]
            event.on_end(payload={EventPayload.NODES: best})
        return best

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return await in_thread(self._postprocess_nodes, nodes, query_bundle)


def _result(place: int, node: NodeWithScore) -> SearchResult:
    """Return the node, with the metadata that are embedded, as a result. Its id is its position.

    A score from -1 to 1 counts as the similarity to the query, since dense searches return it.
    """
    text = node.node.get_content(metadata_mode=MetadataMode.EMBED)
    chunk = Chunk.whole(text, id=str(place), metadata=node.node.metadata)
    if node.score is None:
        return SearchResult(chunk=chunk, score=1 / (1 + place))
    return SearchResult(chunk=chunk, score=node.score, similarity=node.score if abs(node.score) <= 1 else None)
