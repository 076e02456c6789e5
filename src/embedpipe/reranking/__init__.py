"""A closer look at the best results: rerankers take results and give them back in a better order."""

from embedpipe.reranking.cohere import CohereReranker
from embedpipe.reranking.cross_encoder import CrossEncoderReranker
from embedpipe.reranking.frameworks import as_reranker
from embedpipe.reranking.lexical import LexicalReranker
from embedpipe.reranking.ordering import FallbackReranker

__all__ = ["CohereReranker", "CrossEncoderReranker", "FallbackReranker", "LexicalReranker", "as_reranker"]
