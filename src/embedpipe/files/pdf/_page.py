"""Read the text of a PDF's page, with what only the position of its characters says."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple

from embedpipe.files._scripts import is_unit


class Edit(NamedTuple):
    """Replaces what stands from `start` to `end` in a page's text."""

    start: int
    end: int
    words: str


class Box(NamedTuple):
    """A place on a page in points, as seen with the text upright."""

    left: float
    bottom: float
    right: float
    top: float


class Origin(NamedTuple):
    """Where a character stands on its line, in points, as seen with the text upright."""

    x: float
    baseline: float


_LINE_END_HYPHEN = re.compile("\ufffe")
_NEXT_LINE = 3
"""How many times its font's size the next line is below at most."""
_SAMPLE = 24
"""How many characters say which way a page is written."""
_RUN = 200
"""How many characters a label has at most."""
_RAISED = re.compile(
    r"[−–+-]?\d+|[nkijmpqT](?![A-Za-z])(?:(?<=[0-9)][nkijmpq])|(?<=[A-Za-z].)(?<![A-Za-z]{2}.))", re.DOTALL
)
"""What may hold a raised number or a raised variable."""
_ONE_TERM = re.compile(r"[−–+-]?\w+[−–+-]?|[−–+-]")
_BESIDE_RAISED = frozenset("0123456789,–−-+")
_CLOSING = frozenset(".,;:!?)]}\"'”’»*")
_TERMS = frozenset(
    """
    cm mm km dm nm pm µm μm ft yd mi in kg mg Hz ha px sin cos tan log exp det Na Ca Mg Fe Cu Zn Li Ag Al Cl SO PO NO
    CO NH
    """.split()  # noqa: SIM905 - read as a list of words
)
"""Units, functions and ions of more than one letter. Behind other words, a raised number is a footnote's mark."""
_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d\Z")
_LETTERS = re.compile(r"[^\W\d_]*\Z")
_VOWEL = re.compile("[aeiouyæœà-ÿ]", re.IGNORECASE)
_BRACKETED_WORDS = re.compile(r"[^\W\d_]{3}[^()\[\]]*[)\]]\Z")


class PageText:
    """The text of one page as PDFium orders it, and where its characters are.

    Text that runs sideways is read upright: PDFium orders lines as the page is displayed, and the last line of sideways
    text can come first.
    """

    def __init__(self, document: Any, raw: Any, index: int) -> None:
        self._raw = raw
        self.page = document[index]
        self._textpage = self.page.get_textpage()
        self.turned = self._written()
        if self.turned != self.page.get_rotation():
            self._textpage.close()
            self.page.set_rotation(self.turned)
            self.page.close()
            self.page = document[index]
            self._textpage = self.page.get_textpage()
        self.text: str = self._textpage.get_text_range()
        self._aligned = len(self.text) == self._textpage.count_chars()
        self._rect, self._matrix = raw.FS_RECTF(), raw.FS_MATRIX()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._across = self._x if self.turned in (90, 270) else self._y
        self._up = -1 if self.turned in (90, 180) else 1

    def close(self) -> None:
        """Free the page."""
        self._textpage.close()
        self.page.close()

    def _written(self) -> int:
        """Return by how many degrees the page must be turned for most of its text to be upright."""
        count = self._textpage.count_chars()
        places = range(0, count, max(1, count // _SAMPLE))
        angles = [self._raw.FPDFText_GetCharAngle(self._textpage, place) for place in places]
        turns = [round(-angle / (math.pi / 2)) % 4 for angle in angles if angle >= 0]
        return 90 * max(set(turns), key=turns.count) if turns else int(self.page.get_rotation())

    def origin(self, place: int) -> Origin:
        """Return where the character at this offset in the text stands."""
        self._raw.FPDFText_GetCharOrigin(self._textpage, self._index(place), self._x, self._y)
        x, y = self._x.value, self._y.value
        return Origin(*self.upright(x, y, x, y)[:2])

    def baseline(self, place: int) -> float:
        """Return `origin(place).baseline` in a third of the time."""
        index = place if self._aligned else self._index(place)
        self._raw.FPDFText_GetCharOrigin(self._textpage, index, self._x, self._y)
        return self._up * self._across.value

    def size(self, place: int) -> float:
        """Return the size in points in which the character at this offset in the text is set."""
        place = self._index(place)
        self._raw.FPDFText_GetMatrix(self._textpage, place, self._matrix)
        size: float = self._raw.FPDFText_GetFontSize(self._textpage, place)
        return size * math.hypot(self._matrix.c, self._matrix.d)

    def box(self, place: int) -> Box:
        """Return where the character at this offset in the text is."""
        self._raw.FPDFText_GetLooseCharBox(self._textpage, self._index(place), self._rect)
        return self.upright(self._rect.left, self._rect.bottom, self._rect.right, self._rect.top)

    def upright(self, left: float, bottom: float, right: float, top: float) -> Box:
        """Return a box on the page as seen with the text upright."""
        if self.turned == 90:
            return Box(bottom, -right, top, -left)
        if self.turned == 180:
            return Box(-right, -top, -left, -bottom)
        if self.turned == 270:
            return Box(-top, left, -bottom, right)
        return Box(left, bottom, right, top)

    def is_generated(self, place: int) -> bool:
        """Return whether PDFium added this character, as it does with spaces for gaps."""
        return self.text[place] in "\r\n" or self._raw.FPDFText_IsGenerated(self._textpage, self._index(place)) == 1

    def nearest(self, x: float, y: float, *, width: float, height: float) -> int | None:
        """Return the offset of the character that is nearest to a point on the page, at most so far from it."""
        # PDFium takes half of each on both sides of a character.
        place = self._raw.FPDFText_GetCharIndexAtPos(self._textpage, x, y, 2 * width, 2 * height)
        if place >= 0 and not self._aligned:
            place = self._raw.FPDFText_GetTextIndexFromCharIndex(self._textpage, place)
        return place if 0 <= place < len(self.text) else None

    def end_of_run(self, place: int) -> int:
        """Return where the words end that stand on one line with this character, without a wide gap."""
        box, end = self.box(place), place
        for following in range(place + 1, min(place + _RUN, len(self.text))):
            if self.text[following] in "\r\n":
                break
            if not self.text[following].isspace():
                beside = self.box(following)
                if beside.left - box.right > box.top - box.bottom:
                    break
                box, end = beside, following
        return end + 1

    def _index(self, place: int) -> int:
        if self._aligned:
            return place
        return int(self._raw.FPDFText_GetCharIndexFromTextIndex(self._textpage, place))


def line_ends(page: PageText) -> list[Edit]:
    """Return the edits that put back the hyphens and line breaks for which PDFium has U+FFFE.

    If the text goes on elsewhere and with no small letter, it goes on with something else, such as a page's header.
    """
    edits = []
    for match in _LINE_END_HYPHEN.finditer(page.text):
        place, following = match.start(), match.end()
        is_same = page.text[following : following + 1].islower() or following == len(page.text) or not place
        if not is_same:
            down = page.origin(place - 1).baseline - page.origin(following).baseline
            is_same = 0 < down < _NEXT_LINE * page.size(place - 1)
        edits.append(Edit(place, following, "-\n" if is_same else "-\n\n"))
    return edits


def raised_numbers(page: PageText) -> list[Edit]:
    """Return the edits that mark numbers in small raised type: `10^6` for powers, `word[6]` for marks of footnotes.

    PDFium puts a space before some raised numbers and breaks the line behind others. These go.
    """
    edits: list[Edit] = []
    match = _RAISED.search(page.text)
    while match:
        edit = _raised(page, match.start(), match.end())
        edits += [edit] if edit else []
        match = _RAISED.search(page.text, edit.end if edit else match.end())
    return edits


def _raised(page: PageText, start: int, end: int) -> Edit | None:
    text = page.text
    before = start - 1
    while before >= 0 and start - before < 4 and text[before] in " \r\n" and page.is_generated(before):
        before -= 1
    if before < 0:
        before, start = start, start + 1
    baseline = page.baseline(before)
    for place in range(start, end):
        below, baseline = baseline, page.baseline(place)
        if baseline > below and _is_raised(page, place, before):
            break
        before = place
    else:
        return None
    base, origin = page.origin(before), page.origin(place)
    end = place + 1
    while end < len(text) and text[end] in _BESIDE_RAISED and page.origin(end).baseline == origin.baseline:
        end += 1
    number = text[place:end].rstrip(",–")
    if not number.strip("0"):  # fonts of TeX have the prime, as in P′, at the place of 0
        return None
    end = place + len(number)
    power = f"^{number}" if _ONE_TERM.fullmatch(number) else f"^({number})"
    words = power if _is_power(text[max(0, before - 40) : before + 1], number) else f"[{number}]"
    following = end
    while following < len(text) and text[following] in "\r\n":
        following += 1
    if end < following < len(text):
        beside = page.origin(following)
        if abs(beside.baseline - base.baseline) < 0.5 and beside.x > origin.x:
            width = 0.6 * page.size(place) * len(number)
            gap = beside.x - origin.x - width > page.size(before) / 8 and text[following] != " "
            end, words = following, words + " " * gap
    return Edit(before + 1, end, words)


def _is_raised(page: PageText, place: int, before: int) -> bool:
    """Return whether a character is smaller and higher than the one before it, and directly beside it."""
    if not (page.text[before].isalnum() or page.text[before] in _CLOSING):
        return False
    size, base, origin = page.size(before), page.origin(before), page.origin(place)
    return (
        page.size(place) < 0.88 * size
        and 0.15 * size < origin.baseline - base.baseline < 0.8 * size
        and 0 < origin.x - base.x < 1.3 * size
    )


def _is_power(before: str, number: str) -> bool:
    """Return whether a raised number behind this text is a power, and no footnote's mark."""
    base = before[-1]
    if "," in number:
        return False
    if number.strip("0123456789") and base.isalnum():  # 10⁻³, xⁿ, Ca²⁺
        return True
    if base.isdigit():
        return not _YEAR.search(before)
    if base in ")]":
        return not _BRACKETED_WORDS.search(before)
    if is_unit(before, number):
        return True
    word = _LETTERS.search(before)[0]  # type: ignore[index] # it matches an empty end
    return len(word) == 1 or word in _TERMS or (len(word) == 2 and not _VOWEL.search(word))  # "mc" is a product


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits. One that begins within another comes behind it."""
    pieces: list[str] = []
    done = 0
    for start, end, words in sorted(edits, key=itemgetter(0)):
        pieces += (text[done:start], words)
        done = max(done, start, end)
    return "".join([*pieces, text[done:]])
