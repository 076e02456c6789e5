"""`check_reranker` and `check_chat`: what they find behind every provider's interface, and of models with one fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bad_provider import Handler, is_stream, serving
from embedpipe.answering import ChatReply, Message
from embedpipe.checking import Finding, check_chat, check_reranker
from embedpipe.reranking import LexicalReranker
from embedpipe.types import SearchResult
from provider_habits import CHATS, CLIENTS, RERANKS

STATEMENT = "Green tea is steeped at 80 °C for two minutes"
ORDER = ["order", "scores", "same scores", "many texts", "long text", "speed", "price", "not checked"]
CHAT_ORDER = [
    *("answer", "citations", "streaming", "long prompt", "cut off"),
    *("speed", "price", "not checked"),
]


def wrong(findings: Sequence[Finding]) -> list[str]:
    return [finding.check for finding in findings if finding.is_good is False]


def found(findings: Sequence[Finding], check: str) -> str:
    [text] = [finding.found for finding in findings if finding.check == check]
    return text


@pytest.mark.parametrize("name", RERANKS)
def test_every_reranker_behind_a_network_is_checked(name: str) -> None:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if len(texts) > 32:
            handler.send_json({"error": "too many texts"}, status=413)
            return
        rows = RERANKS[name].habit.answer(body, texts)
        for row in rows if isinstance(rows, list) else rows.get("results") or rows["data"]:
            row["score" if name == "tei" else "relevance_score"] = 0.9 if "Green tea" in texts[row["index"]] else 0.1
        handler.send_json(rows)

    with serving(reply) as server:
        findings = list(check_reranker(CLIENTS[f"{name} rerank"].made(server.origin)))
    assert [finding.check for finding in findings] == ORDER
    assert wrong(findings) == []
    assert found(findings, "many texts") == "100 were scored, at most 25 in a request"


class FaultyReranker:
    """A reranker by words that changes the scores of a request on their way."""

    def __init__(self, change: Callable[[list[float]], list[float]]) -> None:
        self._change = change

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        ranked = {result.id: result.score for result in LexicalReranker().rerank(query, results)}
        scores = self._change([ranked[result.id] for result in results])
        scored = [SearchResult(chunk=result.chunk, score=score) for result, score in zip(results, scores, strict=True)]
        return sorted(scored, key=lambda result: -result.score)


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda scores: scores, []),
        (lambda scores: [*scores[1:], scores[0]], ["order", "many texts"]),  # scores of the next text
        (lambda scores: [-score for score in scores], ["order", "many texts"]),  # distances
        (lambda scores: [*scores[:32], *([0.0] * (len(scores) - 32))], ["many texts"]),  # only the first are read
    ],
)
def test_a_fault_of_a_reranker_is_found(change: Any, faults: list[str]) -> None:
    assert wrong(list(check_reranker(FaultyReranker(change)))) == faults


@pytest.mark.parametrize("name", CHATS)
def test_every_chat_model_is_checked(name: str) -> None:
    habit = CHATS[name].habit

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        number = 1 if "Entry 7" in str(body) else 2
        answer = f"{STATEMENT} [{number}]."
        if is_stream(handler, body) or "streamGenerateContent" in handler.path:
            handler.send(habit.stream(*re.findall(r"\S+\s*", answer)), headers={"Content-Type": "text/event-stream"})
        else:
            whole = json.dumps(habit.answer(body, texts)).replace("An answer.", answer)
            handler.send(whole.encode())

    with serving(reply) as server:
        findings = list(check_chat(CLIENTS[f"{name} chat"].made(server.origin)))
    assert [finding.check for finding in findings] == CHAT_ORDER
    assert wrong(findings) == []
    assert found(findings, "citations").startswith("[2] quoted; the model cites by")
    assert "pieces, the first after" in found(findings, "streaming")


class FakeChat:
    """Answers with the first source that names green tea in the end of the prompt that it reads."""

    name = "fake"

    def __init__(
        self, *, reads: int = 1_000_000, mark: str = "[{}]", answer: str = STATEMENT, cut: bool = False
    ) -> None:
        self._reads, self._mark, self._answer, self._cut = reads, mark, answer, cut

    def complete(self, messages: Sequence[Message]) -> ChatReply:
        prompt = messages[-1].content[-self._reads :]
        if "Green tea" not in prompt:
            return ChatReply("The sources do not say.")
        number = re.findall(r"source \[(\d)\]", prompt.partition("Green tea")[0])[-1]
        return ChatReply(f"{self._answer} {self._mark.format(number)}.", 10, self._cut)

    def stream(self, messages: Sequence[Message]) -> Any:
        yield self.complete(messages)

    async def acomplete(self, messages: Sequence[Message]) -> ChatReply:
        return self.complete(messages)

    async def astream(self, messages: Sequence[Message]) -> Any:
        yield self.complete(messages)


@pytest.mark.parametrize(
    ("chat", "faults"),
    [
        (FakeChat(), []),
        (FakeChat(reads=8000), ["long prompt"]),  # a server that cuts prompts without a word
        (FakeChat(mark=""), ["citations"]),
        (FakeChat(mark="[1]"), ["citations"]),  # of the source that says nothing of it
        (FakeChat(answer="Green tea is steeped at 60 °C"), ["answer", "citations", "streaming", "long prompt"]),
        (FakeChat(cut=True), ["cut off"]),
    ],
)
def test_a_fault_of_a_chat_model_is_found(chat: FakeChat, faults: list[str]) -> None:
    assert wrong(list(check_chat(chat))) == faults
