"""Order the best results by a closer look: rerankers take results and return them in a better order.

A reranker is one file here, and one line in `registry`.
"""

from embedpipe.reranking.cohere import CohereReranker
from embedpipe.reranking.cross_encoder import CrossEncoderReranker
from embedpipe.reranking.late_interaction import LateInteractionReranker
from embedpipe.reranking.lexical import LexicalReranker
from embedpipe.reranking.ordering import FallbackReranker
from embedpipe.reranking.registry import as_reranker

__all__ = [
    "CohereReranker",
    "CrossEncoderReranker",
    "FallbackReranker",
    "LateInteractionReranker",
    "LexicalReranker",
    "as_reranker",
]
