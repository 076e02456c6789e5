"""The chat models "gemini": Google's models by the Gemini API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe._providers import Service, shown
from embedpipe.answering.chat import ChatReply, Message
from embedpipe.answering.json_chat import JsonChat, StreamReader, counted, joined, text_of
from embedpipe.errors import GenerationError


class _Reader(StreamReader):
    """Reads replies. A whole one has the form of a stream's single event."""

    def read(self, event: Any) -> ChatReply:
        if "error" in event:
            raise self.error(event)
        candidates = event.get("candidates") or []
        if not candidates and (why := (event.get("promptFeedback") or {}).get("blockReason")):
            raise GenerationError(f"{self._model} refused the prompt: {shown(why)}. Ask in another way.")
        candidate = candidates[0] if candidates else {}
        parts = (candidate.get("content") or {}).get("parts") or []
        texts = [text_of(part["text"]) for part in parts if "text" in part and not part.get("thought")]
        reason = candidate.get("finishReason")
        if reason not in (None, "STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED"):
            raise GenerationError(f"{self._model} broke off its answer: {shown(reason)}. Ask in another way.")
        self.finished = self.finished or reason in ("STOP", "MAX_TOKENS")
        self.got_on = reason is not None or any(part.get("text") for part in parts)
        usage = (event.get("usageMetadata") or {}) if reason else {}  # each event of a stream counts all so far
        written = counted(usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount", 0))
        return ChatReply("".join(texts), counted(usage.get("totalTokenCount")), reason == "MAX_TOKENS", written)


class GeminiChat(JsonChat):
    """A chat model of Google, by the Gemini API's own interface.

    The arguments are those of `JsonChat`. Further options, such as `temperature`, are fields of `generationConfig`. The
    key is read from GEMINI_API_KEY, another address from GEMINI_BASE_URL.
    """

    provider = "gemini"
    service = Service(
        key_variable="GEMINI_API_KEY",
        url_variable="GEMINI_BASE_URL",
        url="https://generativelanguage.googleapis.com/v1beta",
        key_header="x-goog-api-key",
    )
    reader = _Reader

    def _path(self, *, streams: bool) -> str:
        return f"/models/{self._model}:" + ("streamGenerateContent?alt=sse" if streams else "generateContent")

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "contents": [{"role": "user", "parts": [{"text": joined(messages, "user")}]}],
            "generationConfig": {"maxOutputTokens": self._max_tokens, **self._options},
        }
        if system := joined(messages, "system"):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        return body

    def _reply(self, answer: Any) -> ChatReply:
        reader = self.reader(self._model, self._connection.secrets)
        reply = reader.read(answer)
        self._check_finished(reader)
        return reply
