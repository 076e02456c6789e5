"""Decide for each hyphen at a line's end whether it divided a word or belongs to it."""

from __future__ import annotations

import re
from collections import Counter
from enum import Enum
from typing import NamedTuple

_LINE_END = re.compile("(?<=[^\\s-])(?:[-\u2010]\\n|\xad\\n?)\\f?(?=\\w)")
"""A hyphen at a line's end, or a soft hyphen anywhere: a PDF shows those, too, and some have no others."""
_REACH = 80
"""How many characters on each side of a hyphen are looked at."""
_CAPITALS = 8
"""How many letters a divided word in capitals has at least. Fewer may be two abbreviations."""
_MANY = 8
"""After how many compounds and no divided word the other hyphens of a text are taken as compounds'."""
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LETTERS, _LAST_LETTERS = re.compile(r"[^\W\d_]*"), re.compile(r"[^\W\d_]*\Z")
_OPENING = "\"'([{<«»„“”‚‘’¿¡*"
_NAME = re.compile(r"[/\\_@=~#$%&+:]|\w\.\w")
"""Inside of addresses, paths, file names, assignments."""
_NAME_GOES_ON = re.compile(r"[\d_/\\@=]|\.[a-z\d]")
_WORD_ENDS = re.compile(r"[\[(\"'“”’»,;!?—–]")

_COMMAND = re.compile(
    r"(?:^\s*\$ |\b(?:pip3?|pipx|uv|conda|apt|apt-get|brew|dnf|npm|cargo|gem) (?:\w+ )?(?:install|add) )[^.;]*\Z"
)
"""A command line. Its words are names, which nobody divides."""

_BEFORE_THE_SAME = frozenset("und oder bzw sowie and or et и или και".split())  # noqa: SIM905 - read as a list of words
"""Before these, a hyphen stands for what the next word ends in, too: "Vor- und Nachteile"."""

_WITHIN = frozenset(
    "a an the of to in on by and or at as for up out off down over de du la le les des en et à au aux vis sur".split()  # noqa: SIM905
)
"""Words inside compounds of three and more: "state-of-the-art", "vis-à-vis"."""

_FIRST = frozenset(
    """
    well ill best self high higher low lower long longer short shorter half full real open single double two three
    four five six seven eight nine ten twenty thirty forty fifty sixty seventy eighty ninety one non ever much wide
    old older new newly large larger small smaller fast slow hard soft deep cold hot late early middle quasi pseudo
    user type third zero few vice end client server data state time cross good free peer object model event left right
    peut rendez celui celle ceux celles ci là demi grand quelques vingt trente quarante cinquante soixante
    кто что где когда как какой какая какое какие куда откуда почему чей кое из
    """.split()  # noqa: SIM905
)
"""Words that often begin a hyphenated compound."""

_SECOND = frozenset(
    """
    known based like free time term level scale class end oriented driven specific quality dependent independent related
    aware wide made defined written rated paid trained looking named style sized shaped old minded eyed haired headed
    handed hearted legged bound party hand side way fold effective efficient friendly intensive sensitive resistant
    proof step line up off down law called years year day days hour minute week month dimensional source case check room
    coloured colored faced tied augmented assisted aided enhanced powered enabled supported managed hosted controlled
    guided generated supervised
    même mêmes être vous elle elles
    то нибудь либо
    """.split()  # noqa: SIM905
)
"""Words that often end one."""

_ENDINGS = frozenset(
    """
    s ed er es est ing ings ly ment ments ness less ful fully able ible ish ism ist ity ize ized ise ised ation tion
    tional tions sion age al ally ance ence ant ent ary ory ous ously ive ively ten en ens em et hood ship ward wards
    light way ways day days line penny pence der dency drils land time side body thing where how what one selves self
    ever fore over town wife
    """.split()  # noqa: SIM905
)
"""What a word of `_FIRST` is joined with to a longer word: "high-light", "self-ish", "some-time"."""

_BEHIND = {
    "ex": "wife wives husband boyfriend girlfriend partner spouse lover fiancé fiancée minister president chancellor "
    "governor senator mayor king queen officer soldier convict prisoner slave employee employer manager director "
    "chairman player champion pupil student teacher colleague member communist policeman",
    "all": "inclusive purpose star night weather powerful knowing important encompassing embracing",
}
"""What follows these in a compound. No divided word goes on so, as "ex-ample" and "all-gemein" do."""
_BEFORE = {
    "in": "plug sign check built drop opt stand cave phone walk lead sit tie trade buy fade drive live weigh write",
    "on": "add carry hands head clip bolt snap follow walk come roll stick log sign try hanger",
    "out": "opt sell far spaced worn time check log carve cash buy fade",
}
"""What these follow in a compound. Behind others, they end a divided word: "Freun-din", "avi-on"."""
_PAIRS = frozenset(
    [(stem, head) for stem, heads in _BEHIND.items() for head in heads.split()]
    + [(stem, head) for head, stems in _BEFORE.items() for stem in stems.split()]
)

_PREFIXES = frozenset(
    "un re pre dis mis in im over under out up sub be de en for fore inter trans con com with some any every".split()  # noqa: SIM905
)
"""What a word of `_SECOND` is joined with: "un-known", "be-side"."""


class _Verdict(Enum):
    DIVIDED = "divided"
    """The hyphen goes and the lines are joined."""
    PART = "part"
    """The hyphen stays and the lines are joined."""
    APART = "apart"
    """All stays."""


class _LineEnd(NamedTuple):
    start: int
    """Offset of the hyphen in the text."""
    end: int
    """Offset of what follows the line break."""
    left: str
    """What stands before the hyphen up to white space, and behind the line break."""
    right: str
    stem: str
    """The letters directly before the hyphen, and behind the line break."""
    head: str


def join_divided_words(text: str) -> str:
    """Join lines that end in a hyphen. Remove the hyphen only where it divided a word.

    Both sides decide first: digits, capitals and names such as paths keep their hyphen. Then decides which form stands
    elsewhere in the text. Short lists of words that compounds are made of come last. A word that goes on behind a form
    feed is joined before it. Time grows with the text's length alone.

    Args:
        text: Text with `\\n` between its lines and a form feed at the beginning of each page.
    """
    line_ends = _line_ends(text)
    if not line_ends:
        return text
    verdicts = _verdicts(text, line_ends)
    pieces, done = [], 0
    for line_end, verdict in zip(line_ends, verdicts, strict=True):
        if verdict is _Verdict.APART or line_end.start < done:
            continue
        pieces.append(text[done : line_end.start])
        pieces.append("-" if verdict is _Verdict.PART else "")
        done = line_end.end
        if text[done - 1] == "\f":  # the whole word stays on the page where it begins
            done += len(line_end.right)
            pieces.append(f"{line_end.right}\n\f")
            done += text[done : done + 1].isspace() and text[done] != "\f"
    return "".join([*pieces, text[done:]])


def _line_ends(text: str) -> list[_LineEnd]:
    found = []
    for match in _LINE_END.finditer(text):
        start, end = match.span()
        before = text[max(0, start - _REACH) : start].replace("-\n", "-").split()
        after = text[end : end + _REACH].split(None, 1)[0]
        left, right = before[-1].lstrip(_OPENING) if before else "", after
        found.append(_LineEnd(start, end, left, right, _LAST_LETTERS.search(left)[0], _LETTERS.match(right)[0]))  # type: ignore[index]
    return found


def _verdicts(text: str, line_ends: list[_LineEnd]) -> list[_Verdict]:
    by_shape = [_by_shape(text, line_end) for line_end in line_ends]
    open_ones = [line_end for line_end, verdict in zip(line_ends, by_shape, strict=True) if verdict is None]
    counts = _counts(text, open_ones)
    by_form = {line_end.start: _by_form(line_end, counts) for line_end in open_ones}
    tally = Counter(by_form.values())
    keeps = tally[_Verdict.PART] >= _MANY and not tally[_Verdict.DIVIDED]  # a text that divides no words
    return [
        shape or by_form[line_end.start] or _by_words(line_end, counts, keeps)
        for line_end, shape in zip(line_ends, by_shape, strict=True)
    ]


def _by_shape(text: str, line_end: _LineEnd) -> _Verdict | None:
    """Decide by the characters beside the hyphen, if they say it."""
    left, stem, head = line_end.left, line_end.stem, line_end.head
    rest = line_end.right[len(head) :]
    if text[line_end.end - 1] == "\f" and stem.islower() and not head.islower():  # the next page's number or header
        return _Verdict.APART
    if len(stem) < 2 or not head or left.startswith(("-", "/")) or rest.startswith("()"):
        return _Verdict.PART
    # One slash is no path: "and/or" is two words.
    if _COMMAND.search(text[max(0, line_end.start - _REACH) : line_end.start].rpartition("\n")[2]):
        return _Verdict.PART
    if _NAME.search(left.replace("/", "", 1)) or _NAME_GOES_ON.search(_WORD_ENDS.split(rest)[0].replace("/", "", 1)):
        return _Verdict.PART
    if head in _BEFORE_THE_SAME and "-" not in left and not rest[:1].isalnum():
        return _Verdict.APART
    if stem.isupper() and head.isupper() and (len(stem + head) < _CAPITALS or not _in_capitals(text, line_end)):
        return _Verdict.PART
    return None


def _in_capitals(text: str, line_end: _LineEnd) -> bool:
    """Return whether another word beside this one is in capitals, as in a heading."""
    before = text[max(0, line_end.start - _REACH) : line_end.start].rpartition("\n")[2].split()[:-1]
    behind = text[line_end.end : line_end.end + _REACH].partition("\n")[0].split()[1:]
    words = [word.strip("-,.:") for word in (*before, *behind)]
    return any(word.isalpha() and word.isupper() and len(word) > 3 for word in words)


def _counts(text: str, line_ends: list[_LineEnd]) -> Counter[str]:
    """Count how often the text has each form that a decision may need, apart from the line ends themselves."""
    wanted = set()
    for line_end in line_ends:
        stem, head = line_end.stem.lower(), line_end.head.lower()
        wanted |= {stem, head, stem + head, f"{stem}-{head}"}
    counts = Counter(word for match in _WORD.finditer(text) if (word := match[0].lower()) in wanted)
    for line_end in line_ends:
        for part in (line_end.stem.lower(), line_end.head.lower()):
            counts[part] -= 1
    return counts


def _by_form(line_end: _LineEnd, counts: Counter[str]) -> _Verdict | None:
    """Decide by the form that stands elsewhere in the text."""
    stem, head = line_end.stem.lower(), line_end.head.lower()
    joined, hyphenated = counts[stem + head], counts[f"{stem}-{head}"]
    if joined == hyphenated:
        return None
    return _Verdict.DIVIDED if joined > hyphenated else _Verdict.PART


def _by_words(line_end: _LineEnd, counts: Counter[str], keeps: bool) -> _Verdict:
    if not (line_end.stem.isupper() and line_end.head.isupper()) and (
        line_end.head[0].isupper() or not line_end.stem[1:].islower()
    ):
        return _Verdict.PART
    stem, head = line_end.stem.lower(), line_end.head.lower()
    goes_on = line_end.right[len(head) : len(head) + 1] == "-"
    is_compound = (
        keeps
        or ("-" in line_end.left and (goes_on or stem in _WITHIN or stem in _FIRST or counts[stem] > 0))
        or (goes_on and ("/" in line_end.left or head in _WITHIN))
        or (stem in _FIRST and head not in _ENDINGS and head.removesuffix("s") not in _ENDINGS)
        or (head in _SECOND and stem not in _PREFIXES)
        or (stem, head.removesuffix("s")) in _PAIRS
        or (min(len(stem), len(head)) > 3 and stem not in _PREFIXES and counts[stem] > 0 and counts[head] > 0)
    )
    return _Verdict.PART if is_compound else _Verdict.DIVIDED
