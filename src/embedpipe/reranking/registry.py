"""From what a user passes as a reranker, a name or an object, to a `Reranker`."""

from __future__ import annotations

import inspect

from embedpipe._checks import shown
from embedpipe._plugins import Registry
from embedpipe.errors import ConfigurationError
from embedpipe.reranking.frameworks import CallableReranker, CompressorReranker, PostprocessorReranker
from embedpipe.types import Reranker

RERANKERS = Registry(
    "embedpipe.rerankers",
    {
        "lexical": "embedpipe.reranking.lexical:LexicalReranker",
        "cross-encoder": "embedpipe.reranking.cross_encoder:CrossEncoderReranker",
        "cohere": "embedpipe.reranking.cohere:CohereReranker",
        "late-interaction": "embedpipe.reranking.late_interaction:LateInteractionReranker",
    },
)
"""Each is called with the model's name, if one was given. What it returns is taken as by `as_reranker`."""


def as_reranker(reranker: object) -> Reranker:
    """Return a `Reranker` as it is, and wrap or make one from anything else.

    Args:
        reranker: A `Reranker`, a LangChain `BaseDocumentCompressor`, a LlamaIndex `BaseNodePostprocessor`, or a
            callable (query, texts) -> one score for each text. Or a name: "lexical", "cross-encoder", "cohere",
            "late-interaction", the name of an installed package's, each with ":MODEL" behind it if it takes a model.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if isinstance(reranker, str):
        return _reranker_named(reranker)
    if isinstance(reranker, type):
        raise ConfigurationError(f"The reranker is the class {reranker.__name__}. Pass an instance of it.")
    if isinstance(reranker, Reranker):
        return reranker
    if hasattr(reranker, "compress_documents"):
        return CompressorReranker(reranker)
    if hasattr(reranker, "postprocess_nodes"):
        return PostprocessorReranker(reranker)
    if callable(reranker):
        return CallableReranker(reranker)
    raise ConfigurationError(
        f"A reranker cannot be of type {type(reranker).__name__}. Pass an object with rerank(query, results), a "
        "LangChain BaseDocumentCompressor, a LlamaIndex BaseNodePostprocessor, or a callable (query, texts) -> scores."
    )


def _reranker_named(name: str) -> Reranker:
    """Make the reranker of "KIND" or "KIND:MODEL"."""
    kind, _, model = name.partition(":")
    if kind not in RERANKERS:
        raise ConfigurationError(
            f"There is no reranker {shown(kind)}. There are: {', '.join(RERANKERS.names())}. A model's name stands "
            "behind it, as in 'cohere:rerank-v3.5'. A package adds a reranker by an entry point in embedpipe.rerankers."
        )
    factory = RERANKERS.load(kind)
    if not model:
        return as_reranker(factory())
    kinds = {parameter.kind for parameter in inspect.signature(factory).parameters.values()}
    if not kinds - {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
        raise ConfigurationError(f"The reranker {kind!r} takes no model. Name it {kind!r} alone.")
    return as_reranker(factory(model))
