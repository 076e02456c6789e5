"""The groups and control words of RTF, as far as they say something of the text."""

from __future__ import annotations

from collections import Counter
from copy import copy
from typing import Any

from embedpipe.files._blocks import Block, Span, flat
from embedpipe.files._symbols import FONTS, symbol
from embedpipe.files.rtf import _words
from embedpipe.files.rtf._flow import Flow, Paragraph, State
from embedpipe.files.rtf._tokens import SYMBOL_CHARSET, Token, code_page, encoding_of

_DEEPEST = 1000


class Reader:
    """Reads a file token by token.

    Attributes:
        metadata: What the file says of itself.
        left_out: What cannot be brought, counted.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.left_out: Counter[str] = Counter()
        self._body = Flow("body")
        self._state = State(self._body)
        self._stack: list[State] = []
        self._paragraph = Paragraph()
        self._notes: list[Block] = []
        self._endnotes: list[Block] = []
        self._margins: dict[str, dict[str, Block]] = {"header": {}, "footer": {}}
        self._bytes: list[str] = []
        self._units: list[str] = []
        self._skip = 0  # characters of a fallback that are still to come
        self._starred = False
        self._encoding = "cp1252"
        self._default_font: int | None = None
        self._fonts: dict[int, tuple[int, str]] = {}  # charset and name
        self._styles: dict[int, int] = {}  # the level of the headings of a style
        self._named: dict[str, int] = {}  # numbers that control words have set: of dates, fields, fonts, styles
        self._author = self._property = ""
        self._marks: Counter[str] = Counter()

    def read(self, token: Token) -> bool:
        """Take the next token. Return whether the file goes on after it."""
        if token.kind in ("text", "byte"):
            text = token.text[self._skip :]
            self._skip -= len(token.text) - len(text)
            self._bytes.append(text)
            return True
        if token.kind == "sign" and token.text in "\r\n":
            token = Token("word", "par")
        if token.kind == "word" and token.text == "u":
            self._decode()
            self._units.append(chr((token.number or 0) & 0xFFFF))
            self._skip = self._state.fallback
            return True
        if token.kind in ("word", "sign") and self._skip > 0 and token.text not in ("uc", "*"):
            self._skip -= 1
            return True
        if self._bytes or self._units:
            self._flush()
        self._skip = 0
        if token.kind == "{":
            if len(self._stack) > _DEEPEST:
                raise RecursionError
            self._stack.append(self._state)
            self._state = copy(self._state)
        elif token.kind == "}":
            self._end_group()
        elif token.text == "*":
            self._starred = True
            return True
        else:
            self._word(token.text, token.number)
        self._starred = False
        return token.kind != "}" or bool(self._stack)

    def end(self) -> list[Block]:
        """Return the blocks of the file: headers, the body with notes, endnotes, footers."""
        self._flush()
        while self._stack:
            self._end_group()
        if self._body.spans:
            self._end_paragraph()
        blocks = self._body.end()
        headers, footers = (list(found.values()) for found in self._margins.values())
        return [*headers, *blocks, *self._notes, *self._endnotes, *footers]

    # Text

    def _decode(self) -> None:
        """Decode the bytes so far by the encoding of their font."""
        if not self._bytes:
            return
        text = "".join(self._bytes)
        self._bytes.clear()
        font = self._state.font if self._state.font is not None else self._default_font
        charset, name = self._fonts.get(-1 if font is None else font, (1, ""))
        if charset == SYMBOL_CHARSET and name in FONTS:
            self._units += (symbol(name, ord(character)) or "" for character in text)
        else:
            encoding = encoding_of(charset, self._encoding)
            self._units.append(text if text.isascii() else text.encode("latin-1").decode(encoding, "replace"))

    def _flush(self) -> None:
        """Write the characters so far."""
        self._decode()
        if self._units:
            text = "".join(self._units)
            self._units = []
            if not text.isascii():  # characters beyond U+FFFF come in two halves
                text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            self._write(text)

    def _write(self, text: str) -> None:
        state = self._state
        if state.captured is not None:
            state.captured.append(text)
        elif state.destination in ("skipped", "ignored") or state.deleted:
            return
        elif state.hidden:
            self.left_out["run of hidden text"] += 1
        else:
            state.flow.spans.append(Span(text, state.bold, state.italic, state.struck, state.script))

    # Groups

    def _begin(self, word: str) -> bool:
        """Let the present group be a destination. Return whether the word names one."""
        state = self._state
        ignored = state.destination == "ignored"
        if word in _words.FLOWS and not ignored:
            state.flow, state.captured, state.destination = Flow(_words.FLOWS[word]), None, word
            state.bold = state.italic = state.struck = state.hidden = False
            state.script = 0
        elif word in _words.CAPTURED:
            state.captured, state.destination = [], word
        elif word in _words.DATES:
            state.destination = word
            self._named.clear()
        elif word in _words.READ_AGAIN and not ignored:
            state.destination, state.captured = ("skipped" if word == "shpinst" else word), None
            self.left_out["equation without its structure"] += word == "moMath"
        elif word in _words.SKIPPED or (self._starred and word not in _words.NO_DESTINATIONS):
            state.captured, state.destination = None, "skipped"
            if word == "pict" and not ignored:
                self.left_out["picture without a description"] += 1
            if ignored or word in _words.AGAIN:
                state.destination = "ignored"
            elif word == "formfield":
                state.destination = word
                self._named.clear()
        elif word == "object":
            self.left_out["embedded object"] += 1
        else:
            return word in _words.NO_DESTINATIONS
        return True

    def _end_group(self) -> None:
        ended = self._state
        if not self._stack:
            return
        self._state = self._stack.pop()
        if ended.flow is not self._state.flow:
            self._end_flow(ended)
        elif ended.destination in _words.DATES and self._state.destination != ended.destination:
            year, month, day = (self._named.get(name, 0) for name in ("yr", "mo", "dy"))
            if year and 0 < month < 13 and 0 < day < 32:
                self.metadata[_words.DATES[ended.destination]] = f"{year:04}-{month:02}-{day:02}"
        elif ended.destination == "formfield" and self._state.destination != "formfield":
            if self._named.get("fftype") == 1:
                value = self._named.get("ffres", 25)
                ticked = value == 1 or (value == 25 and self._named.get("ffdefres") == 1)
                self._stack[-1].flow.spans.append(Span("[x]" if ticked else "[ ]"))
        elif ended.captured is not None and self._state.captured is not ended.captured:
            self._end_captured(ended.destination, "".join(ended.captured))
        elif ended.captured is not None:
            self._define("".join(ended.captured))

    def _end_captured(self, destination: str, text: str) -> None:
        words = " ".join(text.split())
        if destination in ("title", "author", "subject", "keywords") and words:
            self.metadata[destination] = words
        elif destination in ("listtext", "pntext"):
            self._paragraph.label = words or "-"
        elif destination == "atnauthor":
            self._author = words
        elif destination == "sn":
            self._property = words
        elif destination == "sv" and self._property in ("wzDescription", "pihlShape") and words:
            self.left_out["picture without a description"] -= 1
            self._state.flow.spans.append(Span(words))
        elif destination in ("fonttbl", "stylesheet"):
            self._define(text)

    def _define(self, text: str) -> None:
        """Define a font or a style, whose name this is."""
        destination, name = self._state.destination, text.rstrip("; ").rpartition(";")[2].strip()
        if self._state.captured is not None:
            self._state.captured.clear()
        if destination == "fonttbl" and "f" in self._named:
            self._fonts[self._named["f"]] = self._named.get("fcharset", 1), name
        elif destination == "stylesheet":
            heading = name.lower().removeprefix("heading").strip()
            level = self._named.get("outlinelevel", int(heading) - 1 if heading in tuple("123456789") else 9)
            self._styles[self._named.get("s", 0)] = 1 if name.lower() == "title" else (level + 1) % 10
        self._named.clear()

    def _end_flow(self, ended: State) -> None:
        flow = ended.flow
        if flow.spans:
            flow.end_paragraph(Paragraph(), 0)
        blocks = [block for block in flow.end() if block.text or block.rows]
        text = flat(blocks)
        if flow.kind in self._margins:
            found = ((flat([block]), block) for block in blocks)
            self._margins[flow.kind].update(
                {words: Block(block.text, rows=block.rows) for words, block in found if any(map(str.isalpha, words))}
            )
        elif flow.kind == "box":
            self._state.flow.boxes += blocks
        elif flow.kind == "annotation" and text:
            author, self._author = self._author, ""
            self._notes.append(Block(f"[Comment by {author}: {text}]" if author else f"[Comment: {text}]"))
        elif text:
            self._marks[flow.kind] += 1
            mark = f"[^{self._marks[flow.kind]}]"
            self._state.flow.spans.append(Span(mark))
            self._notes.append(Block(f"{mark}: {text}"))

    # Control words

    def _word(self, word: str, number: int | None) -> None:
        state = self._state
        if (self._starred or word in _words.DESTINATIONS) and self._begin(word):
            return
        if word in _words.CHARACTERS:
            self._write(_words.CHARACTERS[word])
        elif word in _words.STRUCTURE:
            if state.captured is None and state.destination not in ("skipped", "ignored"):
                self._structure(word, number or 0)
        elif word in _words.FILE:
            self._file_word(word, number)
        elif state.captured is not None or state.destination in (*_words.DATES, "formfield"):
            self._named[word] = number or 0
        elif not self._character_word(word, number):
            self._paragraph_word(word, number or 0)

    def _file_word(self, word: str, number: int | None) -> None:
        if word == "uc":
            self._state.fallback = max(0, min(number or 0, 8))
        elif word == "deff":
            self._default_font = number
        else:
            self._encoding = code_page({"mac": 10000, "pc": 437, "pca": 850}.get(word, number or 1252))

    def _character_word(self, word: str, number: int | None) -> bool:
        """Change the format of the characters that follow. Return whether the word does that."""
        state = self._state
        if word in _words.TOGGLES:
            setattr(state, _words.TOGGLES[word], number != 0)
        elif word in _words.SCRIPTS:
            state.script = _words.SCRIPTS[word]
        elif word == "plain":
            state.bold = state.italic = state.struck = state.hidden = state.deleted = False
            state.script, state.font = 0, None
        elif word == "f":
            state.font = number
        return word in _words.TOGGLES or word in _words.SCRIPTS or word in ("plain", "f")

    def _paragraph_word(self, word: str, number: int) -> None:
        paragraph = self._paragraph
        if word == "pard":
            self._paragraph = Paragraph()
        elif word == "intbl":
            paragraph.in_table = True
        elif word == "outlinelevel":
            paragraph.heading = (number + 1) % 10
        elif word == "s":
            paragraph.style = number
        elif word == "ls":
            paragraph.listed = number > 0
        elif word == "ilvl":
            paragraph.depth = max(0, min(number, 8))

    def _structure(self, word: str, number: int) -> None:
        flow = self._state.flow
        if word in ("par", "sect"):
            self._end_paragraph()
        elif word == "cell":
            self._paragraph.in_table = True
            self._end_paragraph()
            flow.end_cell()
        elif word == "row":
            flow.end_row()
        elif word == "trowd":
            flow.begin_row()
        elif word == "cellx":
            flow.define_cell(number)
        elif word == "clvmrg":
            flow.below = True
        else:
            flow.beside = True

    def _end_paragraph(self) -> None:
        paragraph = self._paragraph
        heading = paragraph.heading
        if heading is None:
            heading = self._styles.get(paragraph.style, 0) if paragraph.style is not None else 0
        flow = self._state.flow
        if flow is self._body and not paragraph.in_table:
            flow.boxes += self._notes
            self._notes = []
        flow.end_paragraph(paragraph, 0 if paragraph.in_table else heading)
        paragraph.label = None
