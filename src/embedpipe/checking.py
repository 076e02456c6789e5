"""Try a reranker or a chat model as it will be used, and say what was found. See also `embedding.check_model`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from embedpipe.answering import ChatModel
from embedpipe.embedding import Finding
from embedpipe.errors import RerankError
from embedpipe.rag import ContextSettings, RAGPipeline
from embedpipe.types import Chunk, Reranker, SearchResult

__all__ = ["Finding", "check_chat", "check_reranker"]

_QUESTION = "How hot is the water for green tea?"
_ANSWER = "Green tea is steeped at 80 °C for two minutes."
_OTHERS = ("The contract ends in March.", "A mutex protects shared state.")
_CANDIDATES = 100
"""As many as a search gives a reranker by default, or more."""
_LONG = 20_000
"""Characters of a long text, more than most rerankers read."""
_SAME = 0.01
"""Scores of one text that are nearer are the same. Half precision and batching change the last digits."""
_ALL = ContextSettings(max_tokens=None)
_FILLER = "Entry {number} of the log: the door was opened and closed again."
_ENTRIES = 250
"""Some 4,000 tokens: the context that a pipeline sends by default. Ollama cuts longer prompts where it is not told."""


def check_reranker(reranker: Reranker) -> Iterator[Finding]:
    """Rerank some 110 short texts and a long one, and yield what each check finds, as soon as it is known.

    Args:
        reranker: The reranker, see `embedpipe.reranking.as_reranker`.

    Raises:
        RerankError: If a request fails for good.
    """
    texts = (_ANSWER, *_OTHERS)
    scores: dict[str, list[float]] = {text: [] for text in texts}
    best = []
    for start in range(len(texts)):
        ranked = reranker.rerank(_QUESTION, _results([*texts[start:], *texts[:start]]))
        best.append(ranked[0].chunk.text)
        for result in ranked:
            scores[result.chunk.text].append(result.score)
    right = best.count(_ANSWER)
    yield Finding("order", f"the answer came first in {right} of {len(best)} orders of three texts", right == len(best))
    lowest, highest = min(map(min, scores.values())), max(map(max, scores.values()))
    yield Finding("scores", f"{lowest:.4g} to {highest:.4g}; the answer's is {scores[_ANSWER][0]:.4g}")
    apart = max(max(each) - min(each) for each in scores.values())
    found = f"scores of one text differ by {apart:.2g} with the order of the texts"
    yield Finding("same scores", found, is_good=True if apart <= _SAME else None)

    many = [f"{_OTHERS[number % 2]} {number}" for number in range(_CANDIDATES - 1)]
    begun = time.perf_counter()
    ranked = reranker.rerank(_QUESTION, _results([*many, _ANSWER]))
    seconds = time.perf_counter() - begun
    at_once = getattr(reranker, "largest_request", None)
    divided = f", at most {at_once} in a request" if at_once is not None and at_once < _CANDIDATES else ""
    first = ranked[0].chunk.text == _ANSWER
    yield Finding("many texts", f"{_CANDIDATES} were scored{divided}", is_good=first)
    try:
        reranker.rerank(_QUESTION, _results([_ANSWER, _OTHERS[0] + " word" * (_LONG // 5)]))
        yield Finding("long text", f"{_LONG:,} characters were taken; whether all were read was not checked")
    except RerankError as error:
        yield Finding("long text", f"{_LONG:,} characters were refused: {error}")
    yield Finding("speed", f"{_CANDIDATES / seconds:.0f} short texts/s in one call")
    sent = f"5 requests or more, with {_CANDIDATES + 11} texts"
    yield Finding("price", f"{sent}; the catalogue has no prices of rerankers")
    yield Finding("not checked", "other languages, how much of a long text is read, several requests at once")


def check_chat(chat: ChatModel) -> Iterator[Finding]:
    """Ask a chat model three questions on given sources, and yield what each check finds, as soon as it is known.

    Args:
        chat: The model, see `embedpipe.answering.as_chat_model`.

    Raises:
        GenerationError: If a request fails for good.
    """
    pipeline = RAGPipeline(_Sources([_OTHERS[0], _ANSWER]), chat, context=_ALL)
    whole = pipeline.query(_QUESTION)
    yield Finding("answer", f"{whole.answer[:120]!r}", is_good="80" in whole.answer)
    by = "by itself" if getattr(chat, "cites", False) else "by marks, which it is asked to write"
    statuses = [f"[{citation.source}] {citation.status}" for citation in whole.citations]
    good = bool(statuses) and not whole.problems and all(citation.source == 2 for citation in whole.citations)
    yield Finding("citations", f"{', '.join(statuses) or 'none'}; the model cites {by}", is_good=good)

    begun = time.perf_counter()
    stream = pipeline.stream(_QUESTION)
    times = [time.perf_counter() - begun for _ in stream]
    found = f"{len(times)} pieces, the first after {times[0]:.2f} s, the last after {times[-1]:.2f} s"
    yield Finding("streaming", found, is_good="80" in stream.response.answer)

    entries = "\n".join(_FILLER.format(number=number) for number in range(_ENTRIES))
    long = RAGPipeline(_Sources([_ANSWER, entries]), chat, context=_ALL).query(_QUESTION)
    found = f"the first of sources with {len(entries):,} characters was {'' if '80' in long.answer else 'not '}read"
    yield Finding("long prompt", found, is_good="80" in long.answer)

    answers = (whole, stream.response, long)
    cut = sum(answer.truncated for answer in answers)
    yield Finding("cut off", f"{cut} of {len(answers)} answers reached their limit of tokens", is_good=not cut)
    yield Finding("speed", f"a short answer took {whole.timings['answer']:.2f} s")
    used = [answer.tokens_used for answer in answers]
    tokens = "no count of tokens" if None in used else f"{sum(filter(None, used)):,} tokens of prompts and answers"
    yield Finding("price", f"{len(answers)} requests, {tokens}; the catalogue has no prices of chat models")
    yield Finding("not checked", f"prompts of over {len(entries):,} characters, async calls, OpenAI's Batch interface")


class _Sources:
    """A search service that always finds these texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._results = _results(texts)

    def search(self, query: str, k: int) -> list[SearchResult]:
        return self._results

    async def asearch(self, query: str, k: int) -> list[SearchResult]:
        return self._results

    def expand(self, results: list[SearchResult]) -> list[SearchResult]:
        return results

    async def aexpand(self, results: list[SearchResult]) -> list[SearchResult]:
        return results


def _results(texts: Sequence[str]) -> list[SearchResult]:
    return [
        SearchResult(chunk=Chunk.whole(text, id=str(number), document_id=str(number)), score=1.0)
        for number, text in enumerate(texts)
    ]
