"""E-mails (.eml) and mailboxes (.mbox): the text of a message, its headers, and the names of its attachments."""

from __future__ import annotations

import codecs
import email
import re
from collections import Counter
from datetime import datetime
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any, TypeAlias

from embedpipe.errors import InputError
from embedpipe.files._decoding import codec_of, decode, printable
from embedpipe.files.html import markdown
from embedpipe.files.parsed import Parsed, ReadOptions

_Message: TypeAlias = "Message[str, str]"
_Headers: TypeAlias = dict[str, list[str]]
"""The values of headers, by their names in small letters."""

_FROM = re.compile(rb"From (?:(?<=\AFrom )|(?<=\n\nFrom )|(?<=\n\r\nFrom ))[^\n]*[0-9]:[0-9][^\n]*\n")
_ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_KNOWN = ("From", "To", "Subject", "Date", "Message-ID", "Received", "MIME-Version")
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF_16 = 100
"""In how many bytes at the beginning of a message NUL tells UTF-16."""
_MAX_HEADER = 32 * 2**10
_SPACE = re.compile(r"\s+")


class _Policy(Compat32):
    """Cuts headers behind 32 KB: the standard library takes quadratic time to take them apart."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[: _MAX_HEADER + 1]  # one more tells that something is cut


_POLICY = _Policy()


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return a message: its subject as a heading, sender, recipients and date, then its plain text, or else its HTML.

    Text attachments and forwarded messages follow. Other attachments are named as left out.

    Raises:
        InputError: If the file is no e-mail.
    """
    if data.startswith(_MARKS) or b"\0" in data[:_UTF_16]:
        data = decode(data, name).text.encode()
    message = email.message_from_bytes(data, policy=_POLICY)
    if not any(header in message for header in _KNOWN):
        raise InputError(
            f"{name} is no e-mail: it has none of the headers From, To, Subject and Date. Check its suffix."
        )
    return _parsed(message, name, options)


def parse_mailbox(data: bytes, name: str, options: ReadOptions) -> list[Parsed]:
    """Return the messages of a mailbox. A message's id is its Message-ID.

    Raises:
        InputError: If the file is no mailbox.
    """
    starts = list(_FROM.finditer(data))
    if not starts or data[: starts[0].start()].strip():
        raise InputError(f"{name} is no mailbox: it does not begin with a line 'From ...'. Check its suffix.")
    ends = [start.start() for start in starts[1:]] + [len(data)]
    records, seen = [], Counter[str]()
    for start, end in zip(starts, ends, strict=True):
        content = data[start.end() : end]
        if b">From " in content:
            content = _ESCAPED_FROM.sub(rb"\1", content)
        record = _parsed(email.message_from_bytes(content, policy=_POLICY), name, options)
        if record.id is not None:
            seen[record.id] += 1
            own_id = record.id if seen[record.id] == 1 else f"{record.id}/{seen[record.id]}"
            record = Parsed(record.text, record.metadata, record.locations, record.left_out, own_id)
        records.append(record)
    return records


def _parsed(message: _Message, name: str, options: ReadOptions) -> Parsed:
    headers = _headers(message)
    metadata = _metadata(headers)
    body = _Body(name, options)
    body.add(message)
    blocks = [_head(metadata), *body.blocks]
    text = "\n\n".join(block.strip("\n") for block in blocks if block.strip())
    left_out = [*_cut(headers), *body.left_out]
    return Parsed(printable(text) + "\n", metadata, left_out=left_out, id=metadata.get("message_id"))


def _head(metadata: dict[str, Any]) -> str:
    """Return the subject, sender, recipients and date as text: people ask for them."""
    title = [f"# {metadata['title']}\n"] if "title" in metadata else []
    lines = [
        f"{key.capitalize()}: {', '.join(value) if isinstance(value := metadata[key], list) else value}"
        for key in ("from", "to", "cc", "date")
        if key in metadata
    ]
    return "\n".join([*title, *lines])


def _headers(message: _Message) -> _Headers:
    """Return the values of the headers that are read, as they are written, bytes that are not ASCII as surrogates."""
    found: _Headers = {key: [] for key in ("subject", "from", "to", "cc", "date", "message-id")}
    for name, value in message.raw_items():
        if (key := name.lower()) in found:
            found[key].append(value)
    return found


def _metadata(headers: _Headers) -> dict[str, Any]:
    found: dict[str, Any] = {"title": _first(headers["subject"])}
    found["from"] = ", ".join(_addresses(headers["from"]))
    found |= {key: _addresses(headers[key]) for key in ("to", "cc")}
    date = _first(headers["date"])
    try:
        sent: datetime | None = parsedate_to_datetime(date) if date else None
    except (ValueError, TypeError, IndexError, OverflowError):
        sent = None
    found["date"] = sent.isoformat() if sent else date
    found["message_id"] = _first(headers["message-id"]).strip("<> ")
    return {key: value for key, value in found.items() if value}


def _cut(headers: _Headers) -> list[str]:
    """Return what is left out of the headers."""
    cut = (key for key, values in headers.items() if sum(map(len, values)) > _MAX_HEADER)
    return [f"of the header {key.title().replace('Id', 'ID')}, what is beyond 32 KB" for key in cut]


def _first(values: list[str]) -> str:
    return _decoded(values[0]) if values else ""


def _decoded(raw: str) -> str:
    """Return a header's text on one line. Encoded words and bytes that are not ASCII are decoded."""
    if "=?" not in raw and raw.isascii():
        return printable(_SPACE.sub(" ", raw)).strip()
    words = []
    for word, charset in decode_header(raw):
        data = word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape")
        for codec in (codec_of(charset or "utf-8") or "utf-8", "utf-8", "cp1252"):
            try:
                words.append(data.decode(codec))
                break
            except UnicodeDecodeError:
                continue
    return printable(_SPACE.sub(" ", "".join(words))).strip()


def _addresses(values: list[str]) -> list[str]:
    """Return each address as "Name <address>". Names are decoded last: they may hold commas."""
    raw = ", ".join(values)[:_MAX_HEADER]
    if not raw:
        return []
    try:
        found = [(_decoded(named), printable(address)) for named, address in getaddresses([raw]) if address]
    except RecursionError:  # comments within comments
        found = []
    shown = [f"{named} <{address}>" if named else address for named, address in found]
    return shown or [text for text in [_decoded(raw)] if text]


class _Body:
    """Collects the text of a message, and the names of what is no text."""

    def __init__(self, name: str, options: ReadOptions) -> None:
        self._name, self._options = name, options
        self.blocks: list[str] = []
        self.left_out: list[str] = []

    def add(self, part: _Message) -> None:
        """Add a part with all parts within it. Of alternatives, add the plain text, or else the first with text."""
        payload: Any = part.get_payload()
        kind = part.get_content_type()
        if kind == "multipart/alternative" and isinstance(payload, list):
            self._add_best(payload)
        elif kind == "message/rfc822" and isinstance(payload, list) and payload:
            headers = _headers(payload[0])
            self.blocks.append(_head(_metadata(headers)))
            self.left_out += _cut(headers)
            self.add(payload[0])
        elif kind == "message/delivery-status" and isinstance(payload, list):
            fields = ("\n".join(f"{key}: {_decoded(value)}" for key, value in part.raw_items()) for part in payload)
            self.blocks.append("\n\n".join(fields))
        elif isinstance(payload, list):
            for within in payload:
                self.add(within)
        elif kind in ("text/html", "application/xhtml+xml"):
            self._add_text(part, markdown(self._text(part)).text)
        elif kind.startswith("text/"):
            self._add_text(part, self._text(part))
        else:
            self._leave_out(part)

    def _add_best(self, alternatives: list[_Message]) -> None:
        plain_first = sorted(alternatives, key=lambda part: part.get_content_type() != "text/plain")
        for number, part in enumerate(plain_first):
            before = len(self.blocks)
            self.add(part)
            if len(self.blocks) > before:
                for other in plain_first[number + 1 :]:
                    self._name_attachments(other)
                return

    def _name_attachments(self, part: _Message) -> None:
        """Name what an alternative that is not taken holds beside its text, such as pictures or an invitation."""
        for within in part.walk():
            if not within.is_multipart() and not within.get_content_type().startswith("text/"):
                self._leave_out(within)

    def _add_text(self, part: _Message, text: str) -> None:
        if text.strip():
            filename = _filename(part)
            self.blocks += [f"Attachment {filename}:", text] if filename else [text]

    def _text(self, part: _Message) -> str:
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            return ""
        charset = self._options.encoding or (part.get_content_charset() or "us-ascii")
        declared = None if charset == "us-ascii" else codec_of(charset)  # what says nothing may be UTF-8
        for encoding in dict.fromkeys([declared, None]):
            try:
                return decode(data, self._name, encoding).text
            except InputError:
                continue
        self.left_out.append("characters that cannot be decoded")
        return data.decode("utf-8", "replace").replace("\r\n", "\n")

    def _leave_out(self, part: _Message) -> None:
        named = _filename(part)
        self.left_out.append(f"attachment {named} ({part.get_content_type()})" if named else part.get_content_type())


def _filename(part: _Message) -> str:
    return _decoded(part.get_filename() or "")
