"""RTF as Markdown.

striprtf, the library for it, drops headings, notes, comments and numbers, reads deleted text, and takes quadratic time
for some files.
"""

from __future__ import annotations

from embedpipe.errors import InputError
from embedpipe.files._blocks import left_out, markdown
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.files.rtf._reader import Reader
from embedpipe.files.rtf._tokens import tokens

__all__ = ["parse"]


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return a file's text as Markdown, with its title, author, subject, keywords and dates.

    Headings, lists, tables, footnotes and comments keep their form. Deleted text is left out. Headers stand first and
    footers last, each once.

    Raises:
        InputError: If the file is no RTF.
        RecursionError: If its groups are nested too deep.
    """
    if not data.lstrip()[:5].startswith(b"{\\rtf"):
        raise InputError(f"{name} is no RTF. Check its suffix.")
    reader, found = Reader(), tokens(data.decode("latin-1"))
    for token in found:
        if not reader.read(token):
            break
    blocks, report = reader.end(), left_out(reader.left_out)
    behind = sum(len(token.text.strip()) for token in found if token.kind in ("text", "byte"))
    if behind:
        report.append(f"{behind} characters behind the end of the document")
    return Parsed(markdown(blocks), reader.metadata, left_out=report)
