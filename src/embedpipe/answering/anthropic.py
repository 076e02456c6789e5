"""The chat models "anthropic": Claude, by Anthropic's Messages interface, which cites sources by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from embedpipe._providers import Service
from embedpipe.answering.chat import ChatReply, Message, NativeCitation
from embedpipe.answering.json_chat import JsonChat, StreamReader, counted, joined, text_of


class _Marked:
    """A part of an answer and the marks at its end. They stand before white space, which is held back until then."""

    def __init__(self) -> None:
        self._space = ""

    def text(self, piece: str) -> ChatReply:
        """Return what may be shown after this piece."""
        whole = self._space + piece
        shown = whole.rstrip()
        self._space = whole[len(shown) :]
        return ChatReply(shown)

    def end(self, citations: Sequence[NativeCitation]) -> ChatReply:
        """Return the end of the part: a mark for each source that is cited, and the white space."""
        text = ""
        places: dict[int, int] = {}
        for number in dict.fromkeys(each.source for each in citations):
            text += "" if text else " "
            places[number] = len(text)
            text += f"[{number}]"
        text, self._space = text + self._space, ""
        return ChatReply(text, citations=tuple(each._replace(at=places[each.source]) for each in citations))


class _Reader(StreamReader):
    """Reads the events of a stream. What a part of the answer rests on comes behind its text."""

    def __init__(self, model: str, secrets: Sequence[str]) -> None:
        super().__init__(model, secrets)
        self._marked = _Marked()
        self._citations: list[NativeCitation] = []
        self._prompt: Mapping[str, Any] = {}

    def read(self, event: Any) -> ChatReply:
        kind = event["type"]
        self.got_on = kind == "message_delta" or (
            kind == "content_block_delta" and any(value for name, value in event["delta"].items() if name != "type")
        )
        if kind == "error":
            raise self.error(event)
        if kind == "message_start":
            self._prompt = event["message"].get("usage") or {}
        elif kind == "content_block_start":
            self._marked, self._citations = _Marked(), []
        elif kind == "content_block_delta" and event["delta"]["type"] == "text_delta":
            return self._marked.text(text_of(event["delta"]["text"]))
        elif kind == "content_block_delta" and event["delta"]["type"] == "citations_delta":
            self._citations.append(_citation(event["delta"]["citation"]))
        elif kind == "content_block_stop":
            return self._marked.end(self._citations)
        elif kind == "message_delta":
            usage = event.get("usage") or {}
            self.finished = event["delta"].get("stop_reason") is not None
            used = _used(self._prompt, usage)
            return ChatReply("", used, _is_cut(event["delta"]), counted(usage.get("output_tokens")))
        return ChatReply("")


class AnthropicChat(JsonChat):
    """A model of Anthropic. In a `RAGPipeline` with the default prompt it cites its sources natively.

    The sources are sent as documents, and the interface says for each part of the answer which characters of which
    source it rests on. The answer gets a mark such as [1] for each, and each is checked as any other citation. Pass
    `citations=False` to have the model write the marks.

    The other arguments are those of `JsonChat`. The key is read from ANTHROPIC_API_KEY, another address from
    ANTHROPIC_BASE_URL, without the `/v1`.
    """

    provider = "anthropic"
    service = Service(
        key_variable="ANTHROPIC_API_KEY",
        url_variable="ANTHROPIC_BASE_URL",
        url="https://api.anthropic.com",
        key_header="x-api-key",
        more_headers=(("anthropic-version", "2023-06-01"),),
    )
    streams: ClassVar[Mapping[str, Any]] = {"stream": True}
    reader = _Reader

    def __init__(self, model: str, *, citations: bool = True, **options: Any) -> None:
        super().__init__(model, **options)
        self.cites = citations

    def _path(self, *, streams: bool) -> str:
        return "/v1/messages"

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        content = [block for message in messages if message.role == "user" for block in _blocks(message)]
        body = {
            "model": self._model,
            "max_tokens": self._max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        if system := joined(messages, "system"):
            body["system"] = system
        return body | self._options

    def _reply(self, answer: Any) -> ChatReply:
        text = ""
        citations: list[NativeCitation] = []
        for block in answer["content"]:
            if block["type"] == "text":
                marked = _Marked()
                for piece in (
                    marked.text(text_of(block["text"])),
                    marked.end([_citation(each) for each in block.get("citations") or []]),
                ):
                    citations += [each._replace(at=each.at + len(text)) for each in piece.citations]
                    text += piece.text
        usage = answer.get("usage") or {}
        return ChatReply(
            text, _used(usage, usage), _is_cut(answer), counted(usage.get("output_tokens")), tuple(citations)
        )


def _blocks(message: Message) -> list[dict[str, Any]]:
    """Return a message as blocks: its sources as documents, then its text, cut behind what is to be cached."""
    documents = [
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": source.text},
            "title": f"Source {number}",
            **({"context": source.header} if source.header else {}),  # read and not cited
            "citations": {"enabled": True},
        }
        for number, source in enumerate(message.sources, 1)
    ]
    shared, rest = message.content[: message.shared], message.content[message.shared :]
    cached = [{"type": "text", "text": shared, "cache_control": {"type": "ephemeral"}}] if shared.strip() else []
    if not cached:
        rest = message.content
    return [*documents, *cached, *([{"type": "text", "text": rest}] if rest.strip() else [])]


def _citation(each: Any) -> NativeCitation:
    """Read a citation. One without a place in characters has no place: its text is looked for."""
    numbers = [each.get(field) for field in ("start_char_index", "end_char_index")]
    start, end = numbers if all(type(number) is int for number in numbers) else (0, 0)
    if type(each["document_index"]) is not int:
        raise TypeError(type(each["document_index"]).__name__)
    return NativeCitation(0, each["document_index"] + 1, text_of(each["cited_text"]), start, end)


def _used(prompt: Mapping[str, Any], answer: Mapping[str, Any]) -> int | None:
    """Return the tokens of prompt and answer. Those that come from a cache are counted apart."""
    cached = [prompt.get(field) or 0 for field in ("cache_creation_input_tokens", "cache_read_input_tokens")]
    return counted(prompt.get("input_tokens"), answer.get("output_tokens"), *cached)


def _is_cut(ending: Mapping[str, Any]) -> bool:
    return ending.get("stop_reason") in ("max_tokens", "model_context_window_exceeded")
