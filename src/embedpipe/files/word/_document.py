"""A document with all its parts: the body, headers and footers, notes and comments, in the order in which they read."""

from __future__ import annotations

from collections import Counter
from typing import Any

from embedpipe.files._blocks import Block, flat
from embedpipe.files._office import Archive
from embedpipe.files.word._numbering import Numbering, W
from embedpipe.files.word._styles import Styles
from embedpipe.files.word._text import R, Text


def read(archive: Archive, main: str, body: Any) -> tuple[list[Block], Counter[str]]:
    """Return a document's blocks, and what is left out of them, counted.

    Args:
        archive: The file.
        main: The path of the part with the body.
        body: The body.
    """
    parts = {relation.kind: relation.path for relation in archive.relations(main).values()}
    roots = {
        kind: archive.xml(parts[kind]) if kind in parts else None
        for kind in ("styles", "numbering", "footnotes", "endnotes", "comments", "settings")
    }
    styles = Styles(roots["styles"])
    text = Text(archive, styles, Numbering(roots["numbering"], styles.lists))
    notes = _Notes(text, roots)
    text.enter(main)
    blocks: list[Block] = []
    for element in body:
        blocks += text.blocks([element], more=True)
        blocks += notes.follow()
    blocks += text.blocks([]) + notes.rest()
    headers, footers = _margins(text, archive, main, body, roots["settings"])
    return [*headers, *blocks, *footers], text.left_out


class _Notes:
    """The footnotes, endnotes and comments. Each is written once, after what first refers to it."""

    def __init__(self, text: Text, roots: dict[str, Any]) -> None:
        self._text = text
        self._found = {
            kind: {note.get(f"{W}id", ""): note for note in (() if root is None else root)}
            for kind, root in (
                ("footnote", roots["footnotes"]),
                ("endnote", roots["endnotes"]),
                ("comment", roots["comments"]),
            )
        }
        self._endnotes: list[tuple[str, str]] = []

    def follow(self) -> list[Block]:
        """Return the footnotes and comments that the text has referred to since the last call."""
        blocks: list[Block] = []
        while self._text.references:  # a note may refer to further ones
            kind, name, mark = self._text.references.pop(0)
            if kind == "endnote":
                self._endnotes.append((name, mark))
            else:
                blocks += self._written(kind, name, mark)
        return blocks

    def rest(self) -> list[Block]:
        """Return the endnotes, and the comments that nothing refers to."""
        blocks: list[Block] = []
        for name, mark in self._endnotes:
            blocks += self._written("endnote", name, mark)
        for name in list(self._found["comment"]):
            blocks += self._written("comment", name, "")
        return [*blocks, *(self.follow() if self._text.references else [])]

    def _written(self, kind: str, name: str, mark: str) -> list[Block]:
        note = self._found[kind].pop(name, None)
        content = "" if note is None else flat(self._text.blocks(note))
        if not content:
            return []
        if kind != "comment":
            return [Block(f"[^{mark}]: {content}")]
        author = " ".join(note.get(f"{W}author", "").split())
        return [Block(f"[Comment by {author}: {content}]" if author else f"[Comment: {content}]")]


def _margins(text: Text, archive: Archive, main: str, body: Any, settings: Any) -> tuple[list[Block], list[Block]]:
    """Return the headers and the footers that are shown on any page, each text once."""
    relations = archive.relations(main)
    shown = {
        "default": True,
        "first": any(title.get(f"{W}val") not in ("0", "false", "off") for title in body.iter(f"{W}titlePg")),
        "even": settings is not None and settings.find(f"{W}evenAndOddHeaders") is not None,
    }
    found: dict[str, dict[str, Block]] = {"header": {}, "footer": {}}
    paths: set[str] = set()
    for reference in body.iter(f"{W}headerReference", f"{W}footerReference"):
        relation = relations.get(reference.get(f"{R}id", ""))
        if relation is None or relation.kind not in found or relation.path in paths:
            continue
        if shown.get(reference.get(f"{W}type", "default"), True):
            paths.add(relation.path)
            for block in _part(text, archive, relation.path):
                found[relation.kind].setdefault(flat([block]), block)
    return list(found["header"].values()), list(found["footer"].values())


def _part(text: Text, archive: Archive, path: str) -> list[Block]:
    """Return the paragraphs and tables of a header or footer, without those that hold only a page's number."""
    root = archive.xml(path)
    if root is None:
        return []
    text.enter(path)
    blocks = text.blocks(root)
    return [Block(block.text, rows=block.rows) for block in blocks if block.rows or any(map(str.isalpha, block.text))]
