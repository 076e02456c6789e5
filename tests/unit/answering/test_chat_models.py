"""Chat models by name: what each service is sent, what is read from its reply, and its own citations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from bad_provider import Handler, Provider, is_stream, serving
from embedpipe._providers import EventReader
from embedpipe.answering.anthropic import AnthropicChat
from embedpipe.answering.chat import ChatModel, ChatReply, Message, NativeCitation, Source
from embedpipe.answering.registry import CHAT_MODELS
from embedpipe.answering.wrapped import as_chat_model
from embedpipe.errors import ConfigurationError, GenerationError
from embedpipe.rag import Prompt, RAGPipeline, RAGResponse
from provider_habits import CHATS, CLIENTS, claude_delta, claude_event, gemini_event, messages, sse, streamed
from searching import DOCUMENT, HandedOut, paragraphs

QUESTION = "What is the with statement used for?"


def test_every_chat_model_has_its_habits_on_record() -> None:
    assert set(CHAT_MODELS.own) == set(CHATS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("openai:gpt-4o-mini", "OpenAIChat('gpt-4o-mini')"),
        ("gpt-4o-mini", "OpenAIChat('gpt-4o-mini')"),
        ("anthropic:claude-sonnet-4-5", "AnthropicChat('claude-sonnet-4-5')"),
        ("gemini:gemini-2.5-flash", "GeminiChat('gemini-2.5-flash')"),
        ("ollama:qwen3:8b", "OllamaChat('qwen3:8b')"),
    ],
)
def test_a_name_leads_to_its_chat_model(name: str, shown: str) -> None:
    chat = as_chat_model(name)
    assert repr(chat) == shown
    assert isinstance(chat, ChatModel)


def test_a_server_may_have_a_model_whose_name_has_a_colon() -> None:
    assert repr(as_chat_model("llama3:8b", base_url="http://127.0.0.1:1/v1")) == "OpenAIChat('llama3:8b')"
    with pytest.raises(ConfigurationError, match=r"no provider 'llama3'.*base_url="):
        as_chat_model("llama3:8b")
    with pytest.raises(ConfigurationError, match="Did you mean 'anthropic:claude'"):
        as_chat_model("antropic:claude", base_url="http://127.0.0.1:1/v1")


def test_an_address_is_for_a_name() -> None:
    with pytest.raises(ConfigurationError, match="given by name"):
        as_chat_model(FakeListChatModel(responses=["a"]), base_url="http://127.0.0.1:1")


def test_a_pipeline_takes_a_name() -> None:
    assert RAGPipeline(HandedOut(paragraphs()), "anthropic:claude-sonnet-4-5").generates


@pytest.mark.parametrize("name", CHATS)
def test_a_missing_key_is_named_before_anything_is_sent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"{name.upper()}_API_KEY"
    monkeypatch.delenv(variable, raising=False)
    chat = as_chat_model(f"{name}:m")
    if name == "ollama":  # it takes none
        return
    for ask in (lambda: chat.complete(messages()), lambda: list(chat.stream(messages()))):
        with pytest.raises(ConfigurationError, match=variable):
            ask()


SENT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", "authorization", {"model": "m", "max_tokens": 1000}),
    "ollama": ("/v1/chat/completions", "authorization", {"model": "m", "max_tokens": 1000}),
    "gemini": (
        "/v1beta/models/m:generateContent",
        "x-goog-api-key",
        {
            "contents": [{"role": "user", "parts": [{"text": messages()[1].content}]}],
            "systemInstruction": {"parts": [{"text": "Answer."}]},
            "generationConfig": {"maxOutputTokens": 1000},
        },
    ),
    "anthropic": (
        "/v1/messages",
        "x-api-key",
        {
            "model": "m",
            "max_tokens": 1000,
            "system": "Answer.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": messages()[1].content}]}],
        },
    ),
}


@pytest.mark.parametrize("name", CHATS)
def test_each_service_gets_what_its_interface_asks_for(name: str) -> None:
    path, header, fields = SENT[name]
    with serving(lambda handler, body, texts: handler.send_json(handler.provider.habit.answer(body, texts))) as server:
        assert CLIENTS[f"{name} chat"](server) == ChatReply("An answer.", 3, False, 2)
        assert server.paths == [path]
        assert {field: server.requests[0].get(field) for field in fields} == fields
        keys = {field for field in ("authorization", "x-api-key", "x-goog-api-key") if field in server.headers[0]}
        assert keys == {header}
    if name == "anthropic":
        assert server.headers[0]["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("way", ["chat stream", "async chat stream"])
def test_a_stream_is_read_without_its_reasoning_and_with_its_tokens(name: str, way: str) -> None:
    habit = CHATS[name].habit
    stream = habit.opening + habit.thought("So. ") + b"".join(map(habit.piece, ["An ", "ans\u2028wer."])) + habit.ending
    with serving(lambda handler, body, texts: handler.send(stream)) as server:
        assert CLIENTS[f"{name} {way}"](server) == "An ans\u2028wer."
        if name not in ("openai", "ollama"):
            pieces = list(CLIENTS[f"{name} chat"].made(server.origin).stream(messages()))
            assert [piece.tokens_used for piece in pieces if piece.tokens_used] == [3]
            assert [piece.output_tokens for piece in pieces if piece.output_tokens] == [2]


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_events_are_read_however_the_stream_is_cut(size: int) -> None:
    data = (
        b': waiting\r\n\r\nevent: a\r\ndata: {"a":\r\ndata: 1}\r\n\r\n' + 'data: "\u2028"\n\n'.encode() + b"data: 2\n"
    )
    reader = EventReader()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert [event for piece in pieces for event in reader.feed(piece)] == [{"a": 1}, "\u2028"]


def test_options_go_where_each_service_takes_them() -> None:
    with serving(lambda handler, body, texts: handler.send_json(handler.provider.habit.answer(body, texts))) as server:
        for name, place in (("gemini", ["generationConfig"]), ("anthropic", [])):
            server.habit = CHATS[name].habit
            chat = CHAT_MODELS.load(name)("m", base_url=server.origin, api_key="k", max_tokens=7, temperature=0.5)
            chat.complete(messages())
            sent = server.requests[-1]
            for field in place:
                sent = sent[field]
            assert sent["temperature"] == 0.5
            assert 7 in sent.values()


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("gemini", gemini_event({"text": "cut"}, reason="MAX_TOKENS")),
        ("anthropic", {"content": [{"type": "text", "text": "cut"}], "stop_reason": "max_tokens"}),
    ],
)
def test_an_answer_at_the_token_limit_says_so(name: str, reply: object) -> None:
    with serving(lambda handler, body, texts: handler.send_json(reply)) as server:
        assert CLIENTS[f"{name} chat"](server).truncated


@pytest.mark.parametrize(
    ("name", "reply", "said"),
    [
        ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY"),
        ("gemini", gemini_event({"text": "a"}, reason="RECITATION"), "RECITATION"),
        ("gemini", gemini_event({"text": "so", "thought": True}, reason="MAX_TOKENS"), "token limit"),
        (
            "anthropic",
            {"content": [{"type": "thinking", "thinking": "so"}], "stop_reason": "max_tokens"},
            "token limit",
        ),
    ],
)
def test_why_there_is_no_answer_is_said(name: str, reply: object, said: str) -> None:
    with (
        serving(lambda handler, body, texts: handler.send_json(reply)) as server,
        pytest.raises(GenerationError, match=said),
    ):
        CLIENTS[f"{name} chat"](server)


# Anthropic's own citations.

Blocks = list[tuple[str, list[dict[str, Any]]]]
Say = Callable[[list[str]], Blocks]


def cited(documents: list[str], text: str, *, index: int = 0, shift: int = 0) -> dict[str, Any]:
    """A citation of a text in a document, as the interface makes them."""
    start = max(documents[index].find(text), 0) if index < len(documents) else 0
    return {
        "type": "char_location",
        "cited_text": text,
        "document_index": index,
        "document_title": f"Source {index + 1}",
        "start_char_index": start + shift,
        "end_char_index": start + shift + len(text),
    }


def claude(say: Say) -> Callable[[Handler, dict[str, Any], list[str]], None]:
    """A server that answers with blocks of text and citations of the documents that it is sent."""

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        content = body["messages"][0]["content"]
        blocks = say([block["source"]["data"] for block in content if block["type"] == "document"])
        if not is_stream(handler, body):
            parts = [{"type": "text", "text": text, "citations": citations or None} for text, citations in blocks]
            usage = {"input_tokens": 30, "output_tokens": 12}
            handler.send_json({"content": parts, "stop_reason": "end_turn", "usage": usage})
            return
        stream = claude_event("message_start", message={"usage": {"input_tokens": 30, "output_tokens": 1}})
        for index, (text, citations) in enumerate(blocks):
            stream += claude_event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            for start in range(0, len(text), 5):
                stream += claude_delta(type="text_delta", text=text[start : start + 5])
            for citation in citations:
                stream += claude_delta(type="citations_delta", citation=citation)
            stream += claude_event("content_block_stop", index=index)
        stream += claude_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 12})
        handler.send(stream + claude_event("message_stop"))

    return reply


async def answers(say: Say, **options: Any) -> tuple[list[RAGResponse], Provider]:
    """The same question in all four ways, and what was sent."""
    with serving(claude(say)) as server:
        chat = AnthropicChat("claude-test", base_url=server.origin, api_key="k", max_retries=0, **options)
        rag = RAGPipeline(HandedOut(paragraphs()), chat)
        stream, astream = rag.stream(QUESTION), rag.astream(QUESTION)
        text, atext = "".join(stream), "".join([piece async for piece in astream])
        found = [rag.query(QUESTION), await rag.aquery(QUESTION), stream.response, astream.response]
        assert {text, atext} == {response.answer for response in found}
    return found, server


WRAPS = "The with statement is used to wrap the execution of a block with\nmethods defined by a context manager."


def one(text: str, made: Callable[[list[str]], list[dict[str, Any]]]) -> Say:
    return lambda documents: [("According to the document, ", []), (text, made(documents)), (". That is all.", [])]


async def test_what_a_model_cites_by_itself_becomes_a_checked_citation() -> None:
    say = one("blocks are wrapped by the with statement, used with a context manager", lambda d: [cited(d, WRAPS)])
    found, server = await answers(say)
    for response in found:
        assert response.answer.endswith("with a context manager [1]. That is all.")
        (citation,) = response.citations
        assert citation.status == "paraphrased"
        assert citation.quote == WRAPS
        assert citation.quote == DOCUMENT[citation.start_index : citation.end_index]
        assert [len(statement.citations) for statement in response.statements] == [1, 0]
        assert (response.tokens_used, response.model) == (42, "claude-test")
    (body, *_) = server.requests
    assert "[1]" not in json.dumps(body)  # no marks are asked for
    *documents, question = body["messages"][0]["content"]
    assert [block["source"]["data"] for block in documents] == [source.text for source in found[0].sources]
    assert all(block["citations"] == {"enabled": True} for block in documents)
    assert question == {"type": "text", "text": QUESTION}


STATUSES: dict[str, tuple[Say, str, str | None]] = {
    "in other words": (one("a context manager defines methods", lambda d: [cited(d, WRAPS)]), "paraphrased", WRAPS),
    "a quotation": (one('it is "used to wrap the execution"', lambda d: [cited(d, WRAPS)]), "quoted", None),
    "other words than its source": (one("bees live for six weeks", lambda d: [cited(d, WRAPS)]), "unsupported", WRAPS),
    "another place than it says": (
        one("a context manager defines methods", lambda d: [cited(d, WRAPS, shift=3)]),
        "paraphrased",
        WRAPS,
    ),
    "no place": (
        one("a context manager defines methods", lambda d: [{"document_index": 0, "cited_text": WRAPS}]),
        "paraphrased",
        WRAPS,
    ),
    "white space around it": (
        one("a context manager defines methods", lambda d: [{**cited(d, WRAPS), "cited_text": WRAPS + "  "}]),
        "paraphrased",
        WRAPS,
    ),
    "made up": (one("a context manager defines methods", lambda d: [cited(d, "Bees defend.")]), "misquoted", None),
    "nothing": (one("a context manager defines methods", lambda d: [cited(d, "")]), "misquoted", None),
    "no such source": (one("anything", lambda d: [cited(d, WRAPS, index=len(d))]), "unknown_source", None),
    "a place before the text": (
        one("a context manager defines methods", lambda d: [cited(d, WRAPS, shift=-10_000)]),
        "paraphrased",
        WRAPS,
    ),
}


@pytest.mark.parametrize("case", STATUSES)
async def test_a_native_citation_is_checked_as_a_mark_is(case: str) -> None:
    say, status, quote = STATUSES[case]
    for response in (await answers(say))[0]:
        (citation,) = response.citations
        assert citation.status == status
        if quote is not None:
            assert citation.quote == quote


async def test_two_places_of_a_source_are_two_citations_with_one_mark() -> None:
    calls = 'A context manager’s "__exit__()" method is always called'

    def say(documents: list[str]) -> Blocks:
        index = next(n for n, text in enumerate(documents) if calls in text)
        places = [cited(documents, WRAPS), cited(documents, calls, index=index)]
        return [("A context manager's method is always called, by the with statement.\n\n", places), ("Bees!", [])]

    for response in (await answers(say))[0]:
        assert {citation.quote for citation in response.citations} == {WRAPS, calls}
        assert response.statements[1].citations == ()
        assert response.answer.endswith("]\n\nBees!")


async def test_marks_are_asked_for_where_native_citations_are_off() -> None:
    found, server = await answers(lambda documents: [('It says "to wrap the execution" [1].', [])], citations=False)
    assert [citation.status for citation in found[0].citations] == ["quoted"]
    (content,) = server.requests[0]["messages"][0]["content"]
    assert content["text"].startswith("Sources:")
    assert "[1]" in server.requests[0]["system"]


def test_a_prompt_of_ones_own_asks_for_its_own_marks() -> None:
    with serving(claude(lambda documents: [("Yes [1].", [])])) as server:
        chat = AnthropicChat("m", base_url=server.origin, api_key="k")
        RAGPipeline(HandedOut(paragraphs()), chat, prompt=Prompt(system="Be brief.")).query(QUESTION)
        assert [block["type"] for block in server.requests[0]["messages"][0]["content"]] == ["text"]


async def test_a_mark_that_the_model_writes_beside_its_citations_is_checked_as_any_other() -> None:
    say = one("bees are wrapped [7] by the with statement used", lambda documents: [cited(documents, WRAPS)])
    for response in (await answers(say))[0]:
        assert [(each.source, each.status) for each in response.citations] == [
            (7, "unknown_source"),
            (1, "paraphrased"),
        ]


def test_a_stream_that_breaks_off_behind_a_citation_is_an_error() -> None:
    stream = claude_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    stream += claude_delta(type="text_delta", text="An answer.")
    with (
        serving(lambda handler, body, texts: handler.send(stream)) as server,
        pytest.raises(GenerationError, match="ended before"),
    ):
        streamed(CLIENTS["anthropic chat"].made(server.origin))


@pytest.mark.parametrize(
    ("name", "stream", "said"),
    [
        ("anthropic", claude_event("error", error={"type": "overloaded_error", "message": "Overloaded"}), "Overloaded"),
        ("gemini", sse({"error": {"code": 429, "message": "out of quota"}}), "out of quota"),
    ],
)
def test_what_a_stream_s_error_says_reaches_the_user(name: str, stream: bytes, said: str) -> None:
    fails = serving(lambda handler, body, texts: handler.send(stream))
    with fails as server, pytest.raises(GenerationError, match=said):
        streamed(CLIENTS[f"{name} chat"].made(server.origin))


def test_a_source_gets_to_the_model_below_its_header() -> None:
    message = Message("user", "?", sources=(Source("one", "A title"), Source("two")))
    with serving(claude(lambda documents: [("|".join(documents), [])])) as server:
        chat = AnthropicChat("m", base_url=server.origin, api_key="k")
        assert chat.complete([message]).text == "one|two"
        assert chat.complete([message]).citations == ()
        blocks = server.requests[0]["messages"][0]["content"]
        assert [block.get("context") for block in blocks] == ["A title", None, None]


def test_what_other_requests_repeat_is_cached() -> None:
    with serving(claude(lambda documents: [("Yes.", [])])) as server:
        chat = AnthropicChat("m", base_url=server.origin, api_key="k")
        chat.complete([Message("user", "A document. A chunk.", shared=11)])
        chat.complete([Message("user", "A document.", shared=11)])
        first, second = (body["messages"][0]["content"] for body in server.requests)
    cached = {"type": "text", "text": "A document.", "cache_control": {"type": "ephemeral"}}
    assert first == [cached, {"type": "text", "text": " A chunk."}]
    assert second == [cached]


def test_a_reply_says_where_its_marks_are() -> None:
    with serving(claude(lambda documents: [("Yes ", [cited(documents, "one")]), ("no", [])])) as server:
        chat = AnthropicChat("m", base_url=server.origin, api_key="k")
        reply = chat.complete([Message("user", "?", sources=(Source("one"),))])
    assert reply.text == "Yes [1] no"
    assert reply.citations == (NativeCitation(4, 1, "one", 0, 3),)
