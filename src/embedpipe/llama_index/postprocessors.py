"""A reranker as LlamaIndex's node postprocessor."""

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
    """Orders nodes with any `Reranker`, and keeps the `top_n` best, or all where that is None.

    A node's score becomes its rerank score. The nodes that came in are left as they were. Raises `InputError` without
    a query, and what the reranker raises.
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
            raise InputError("The reranker expected the query; pass query_bundle= or query_str=.")
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
    """The node, with its metadata as it is embedded, as a result whose id is its place.

    A score from -1 to 1 is taken as its similarity to the query: what a dense search gives.
    """
    text = node.node.get_content(metadata_mode=MetadataMode.EMBED)
    chunk = Chunk.whole(text, id=str(place), metadata=node.node.metadata)
    if node.score is None:
        return SearchResult(chunk=chunk, score=1 / (1 + place))
    return SearchResult(chunk=chunk, score=node.score, similarity=node.score if abs(node.score) <= 1 else None)
