"""Order the best results by a closer look: rerankers take results and return them in a better order.

A reranker is one file here, and one line in `registry`.
"""

from embedpipe.reranking.cohere import CohereReranker
from embedpipe.reranking.cross_encoder import CrossEncoderReranker
from embedpipe.reranking.infinity import InfinityReranker
from embedpipe.reranking.jina import JinaReranker
from embedpipe.reranking.late_interaction import LateInteractionReranker
from embedpipe.reranking.lexical import LexicalReranker
from embedpipe.reranking.ordering import FallbackReranker
from embedpipe.reranking.registry import RERANKERS, as_reranker
from embedpipe.reranking.tei import TEIReranker
from embedpipe.reranking.voyage import VoyageReranker

__all__ = [
    "RERANKERS",
    "CohereReranker",
    "CrossEncoderReranker",
    "FallbackReranker",
    "InfinityReranker",
    "JinaReranker",
    "LateInteractionReranker",
    "LexicalReranker",
    "TEIReranker",
    "VoyageReranker",
    "as_reranker",
]
