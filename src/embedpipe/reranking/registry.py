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
        "infinity": "embedpipe.reranking.infinity:InfinityReranker",
        "jina": "embedpipe.reranking.jina:JinaReranker",
        "tei": "embedpipe.reranking.tei:TEIReranker",
        "voyage": "embedpipe.reranking.voyage:VoyageReranker",
        "late-interaction": "embedpipe.reranking.late_interaction:LateInteractionReranker",
    },
)
"""Each is called with the model's name, if one was given, and with the options that were given."""


def as_reranker(reranker: object, *, base_url: str | None = None) -> Reranker:
    """Return a `Reranker` as it is, and wrap or make one from anything else.

    Args:
        reranker: A `Reranker`, a LangChain `BaseDocumentCompressor`, a LlamaIndex `BaseNodePostprocessor`, or a
            callable (query, texts) -> one score for each text. Or a name: one of `RERANKERS`, such as "lexical", or
            the name of an installed package's, each with ":MODEL" behind it if it takes a model, as in
            "voyage:rerank-2.5". TEI has its address there: "tei:http://localhost:8080".
        base_url: Where a service that is given by name is reached.

    Raises:
        ConfigurationError: If it is none of these, or takes no `base_url`.
    """
    if isinstance(reranker, str):
        return _reranker_named(reranker, base_url)
    if base_url is not None:
        raise ConfigurationError("base_url needs a reranker that is given by name. Set it in the reranker.")
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


def _reranker_named(name: str, base_url: str | None) -> Reranker:
    """Make the reranker of "KIND" or "KIND:MODEL"."""
    kind, _, model = name.partition(":")
    if kind not in RERANKERS:
        raise ConfigurationError(
            f"There is no reranker {shown(kind)}. There are: {', '.join(RERANKERS.names())}. A model's name stands "
            "behind it, as in 'cohere:rerank-v3.5'. A package adds a reranker by an entry point in embedpipe.rerankers."
        )
    factory = RERANKERS.load(kind)
    parameters = inspect.signature(factory).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    if model and not kinds - {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
        raise ConfigurationError(f"The reranker {kind!r} takes no model. Name it {kind!r} alone.")
    if not model and any(
        parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        for parameter in parameters.values()
    ):
        raise ConfigurationError(f"The reranker {kind!r} needs a model's name behind it. Name it '{kind}:MODEL'.")
    options = {} if base_url is None else {"base_url": base_url}
    if options and not ("base_url" in parameters or inspect.Parameter.VAR_KEYWORD in kinds):
        raise ConfigurationError(f"The reranker {kind!r} takes no base_url. Leave it out.")
    if options and model and next(iter(parameters)) == "base_url":
        raise ConfigurationError(f"The address of the reranker {kind!r} is given twice. Leave base_url out.")
    return as_reranker(factory(model, **options) if model else factory(**options))
