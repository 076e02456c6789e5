"""The slides of a presentation: their shapes, notes and comments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from embedpipe.errors import InputError
from embedpipe.files import _drawings
from embedpipe.files._blocks import Block, flat
from embedpipe.files._office import Archive, Relation
from embedpipe.files._reading_order import Box, reading_order
from embedpipe.files.pptx._text import MC, A, chosen, paragraphs, table_block

_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"

_TITLES = ("title", "ctrTitle")
_BULLETED = ("body", "obj", "")
_MOST_ANCESTORS = 4
"""A placeholder inherits from one of the layout and one of its master. More of a number or kind are an error."""

_COUNTED = ("dt", "sldNum")  # today's date and the slide's number, unless they are text
_REPEATED = ("ftr", "hdr", *_COUNTED)
_MEDIA = {"videoFile": "video", "audioFile": "recording", "wavAudioFile": "recording", "quickTimeFile": "video"}


class _Placeholder(NamedTuple):
    """What a shape says of its place in the layout: its type, "" for the default, and its number."""

    kind: str
    number: str


class Slides:
    """Reads the slides of a presentation, one after another.

    Args:
        archive: The file.
        main: The path of the part that lists the slides.

    Raises:
        InputError: If it is no presentation.
    """

    def __init__(self, archive: Archive, main: str) -> None:
        self.left_out: Counter[str] = Counter()
        self._archive = archive
        self._relations: Mapping[str, Relation] = archive.relations(main)
        self._drawn: set[str] = set()
        self._footers: set[str] = set()
        self._layouts: dict[str, dict[_Placeholder, list[Any]]] = {}
        self._placeholders: dict[_Placeholder, list[Any]] = {}
        root = archive.xml(main)
        if root is None or root.tag != f"{_P}presentation":
            raise InputError(f"{archive.name} is a ZIP archive, but no PowerPoint presentation. Check its suffix.")
        found = (self._relations.get(slide.get(f"{_R}id", "")) for slide in root.iter(f"{_P}sldId"))
        self.paths = [relation.path for relation in found if relation is not None and relation.kind == "slide"]
        self._authors = {
            author.get("id"): author.get("name", "")
            for relation in self._relations.values()
            if relation.kind in ("commentAuthors", "authors") and relation.path in archive
            for author in archive.xml(relation.path)
        }

    def blocks(self, path: str) -> list[Block]:
        """Return the blocks of a slide: its title, its other shapes in reading order, its notes and comments."""
        root = self._archive.xml(path)
        tree = None if root is None else root.find(f"{_P}cSld/{_P}spTree")
        if tree is None:
            return []
        self._relations = self._archive.relations(path)
        parts: dict[str, list[str]] = {}
        for relation in self._relations.values():
            parts.setdefault(relation.kind, []).append(relation.path)
        self._placeholders = self._inherited(parts.get("slideLayout", [""])[0])
        blocks = self._shapes(tree)
        for notes in parts.get("notesSlide", ()):
            blocks += self._notes(notes)
        for comments in parts.get("comments", ()):
            blocks += self._comments(comments)
        return blocks

    def _inherited(self, layout: str) -> dict[_Placeholder, list[Any]]:
        """Return the placeholders of a layout and of its master, which slides inherit places and bullets from.

        They are found by their number alone, and by their type alone.
        """
        if layout not in self._layouts:
            found: dict[_Placeholder, list[Any]] = {}
            masters = (part.path for part in self._archive.relations(layout).values() if part.kind == "slideMaster")
            for path in (layout, *masters) if layout else ():
                root = self._archive.xml(path)
                for shape in () if root is None else root.iter(f"{_P}sp"):
                    place = _placeholder(shape)
                    for key in () if place is None else (_Placeholder("", place.number), place._replace(number="")):
                        shapes = found.setdefault(key, [])
                        shapes += [shape] if len(shapes) < _MOST_ANCESTORS else []
            self._layouts[layout] = found
        return self._layouts[layout]

    def _ancestors(self, place: _Placeholder) -> list[Any]:
        """Return the shapes of the layout and master that a placeholder inherits from, the nearest first."""
        kind = "title" if place.kind in _TITLES else place.kind or "body"
        same = self._placeholders.get(_Placeholder("", place.number), []) if place.number else []
        return [*same, *self._placeholders.get(_Placeholder(kind, ""), [])]

    def _shapes(self, tree: Any) -> list[Block]:
        """Return the blocks of the shapes of a slide or group: titles first, then the others in reading order."""
        titles: list[Block] = []
        read: list[list[Block]] = []
        boxes: list[Box] = []
        for shape in _alternatives(tree):
            place = _placeholder(shape)
            blocks = self._shape(shape, place)
            if place is not None and place.kind in _TITLES:
                titles += blocks
            elif blocks:
                boxes.append(self._box(shape, place, len(read)))
                read.append(blocks)
        return titles + [block for number in reading_order(boxes) for block in read[number]]

    def _box(self, shape: Any, place: _Placeholder | None, number: int) -> Box:
        """Return the place of a shape. One without a place lies where the one before it in the file ends."""
        for source in (shape, *([] if place is None else self._ancestors(place))):
            offset = source.find(f"*/{A}xfrm/{A}off")
            offset = source.find(f"{_P}xfrm/{A}off") if offset is None else offset
            if offset is not None:
                size = offset.getnext()
                left, top = _number(offset, "x"), _number(offset, "y")
                return Box(left, top, left + _number(size, "cx"), top + _number(size, "cy"), number)
        return Box(0, 0, 0, 0, number)

    def _shape(self, shape: Any, place: _Placeholder | None) -> list[Block]:
        tag = shape.tag
        if tag == f"{_P}grpSp":
            return self._described(shape) + self._shapes(shape)
        if tag == f"{_P}graphicFrame":
            return self._frame(shape)
        if tag == f"{_P}pic":
            return self._picture(shape)
        if tag == f"{_P}contentPart":
            self.left_out["ink drawing"] += 1
        body = shape.find(f"{_P}txBody")
        if body is None or (place is not None and place.kind in _COUNTED and body.find(f".//{A}fld") is not None):
            return []
        sources = [] if place is None else [source.find(f"{_P}txBody") for source in self._ancestors(place)]
        styles = [source for source in sources if source is not None]
        bulleted = place is not None and place.kind in _BULLETED
        blocks = paragraphs(body, styles=styles, bullets=bulleted)
        if not blocks:
            return self._described(shape) if place is None else []
        if place is not None and place.kind in _TITLES:
            return [Block(flat([Block(block.text) for block in blocks]), heading=1)]
        if place is not None and place.kind in _REPEATED:
            text = flat(blocks)
            known = text in self._footers
            self._footers.add(text)
            return [] if known else blocks
        if bulleted and len(blocks) == 1 and blocks[0].label == "-":
            blocks[0].label = ""  # one paragraph is no list
        return blocks

    def _described(self, shape: Any) -> list[Block]:
        """Return the description of a shape (its alternative text), if it has one."""
        named = shape.find(f"*/{_P}cNvPr")
        text = "" if named is None else " ".join((named.get("descr") or named.get("title") or "").split())
        return [Block(text)] if text else []

    def _picture(self, shape: Any) -> list[Block]:
        kinds = [_MEDIA[name] for part in shape.iter() if (name := part.tag.rpartition("}")[2]) in _MEDIA]
        described = self._described(shape)
        decorative = any(part.tag.endswith("}decorative") and part.get("val") == "1" for part in shape.iter())
        if kinds:
            self.left_out[kinds[0]] += 1
        elif not described and not decorative:
            self.left_out["picture without a description"] += 1
        return described

    def _frame(self, shape: Any) -> list[Block]:
        """Return a table, chart or diagram."""
        blocks: list[Block] = []
        for part in shape.iter(f"{A}tbl", f"{_C}chart", f"{_DGM}relIds", f"{_P}oleObj"):
            if part.tag == f"{A}tbl":
                blocks.append(table_block(part))
            elif part.tag == f"{_P}oleObj":
                self.left_out[f"embedded object ({part.get('progId', 'unknown')})"] += not blocks
                break  # alternatives of the same object follow
            else:
                blocks += self._related(part)
        return self._described(shape) + [block for block in blocks if block.text or any(map(any, block.rows))]

    def _related(self, part: Any) -> list[Block]:
        relation = self._relations.get(part.get(f"{_R}id") or part.get(f"{_R}dm") or "")
        if relation is None or relation.path in self._drawn:
            return []
        self._drawn.add(relation.path)
        root = self._archive.xml(relation.path)
        if root is None:
            return []
        return list(_drawings.chart(root) if part.tag == f"{_C}chart" else _drawings.diagram(root))

    def _notes(self, path: str) -> list[Block]:
        root = self._archive.xml(path)
        blocks: list[Block] = []
        for shape in () if root is None else root.iter(f"{_P}sp"):
            place, body = _placeholder(shape), shape.find(f"{_P}txBody")
            if body is not None and place is not None and place.kind == "body":
                blocks += paragraphs(body)
        return [Block("Notes:"), *blocks] if blocks else []

    def _comments(self, path: str) -> list[Block]:
        root = self._archive.xml(path)
        blocks: list[Block] = []
        for comment in () if root is None else root.iter():
            if comment.tag.rpartition("}")[2] not in ("cm", "reply"):
                continue
            author = self._authors.get(comment.get("authorId"), "")
            own = (part for part in comment if part.tag.endswith(("}text", "}txBody")))
            text = " ".join(part.text or "" if part.tag.endswith("}text") else _drawings.text_of(part) for part in own)
            text = " ".join(text.split())
            if text:
                blocks.append(Block(f"[Comment by {author}: {text}]" if author else f"[Comment: {text}]"))
        return blocks


def _alternatives(tree: Iterable[Any]) -> Iterator[Any]:
    """Yield the shapes of a tree, one alternative of each."""
    for shape in tree:
        if shape.tag == f"{MC}AlternateContent":
            yield from _alternatives(chosen(shape))
        else:
            yield shape


def _placeholder(shape: Any) -> _Placeholder | None:
    found = shape.find(f"*/{_P}nvPr/{_P}ph")
    return None if found is None else _Placeholder(found.get("type", ""), found.get("idx", ""))


def _number(element: Any, attribute: str) -> float:
    try:
        return float(element.get(attribute, "0")[:20]) if element is not None else 0.0
    except ValueError:
        return 0.0
