"""Find the front matter of Markdown: what a file says of itself, above its text."""

from __future__ import annotations

import re

from embedpipe._checks import checked_kind

_OPENING = re.compile(r"\ufeff?(---|\+\+\+)[ \t]*(?:\r\n?|\n)(?=(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n))*+([^\r\n]*))")
_FIRST_LINE = {"---": re.compile(r"[\w\"'.-][^:]*:(?:\s|$)"), "+++": re.compile(r"\[|[\w\"'.-][^=]*=")}
_CLOSING = {
    mark: re.compile(rf"(?:\r\n?|\n){edge}[ \t]*(?:\r\n?|\n|\Z)")
    for mark, edge in (("---", r"(?:---|\.\.\.)"), ("+++", r"\+\+\+"))
}


def front_matter_end(text: str) -> int:
    """Return where the text behind its front matter begins, 0 if it has none.

    Front matter is YAML between two lines of "---", or TOML between two of "+++", at the very start. Its first line has
    a key: a rule is a line of "---", too.
    """
    opening = _OPENING.match(checked_kind("text", text, str))
    if opening is None or not _FIRST_LINE[opening[1]].match(opening[2]):
        return 0
    closing = _CLOSING[opening[1]].search(text, opening.end() - 1)
    return closing.end() if closing else 0
