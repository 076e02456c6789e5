"""PowerPoint presentations as Markdown, slide by slide.

The XML is walked directly. python-pptx needs Pillow and XlsxWriter, which reading does not.
"""

from __future__ import annotations

from embedpipe.files._blocks import left_out, markdown
from embedpipe.files._office import Archive
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.files.pptx._slides import Slides
from embedpipe.types import Location

__all__ = ["parse"]


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the text of all slides, each with its title as a heading, its notes and its comments.

    Each slide's text begins at a location with its number as "slide". A footer is read once. Dates and numbers of
    slides are left out.

    Raises:
        InputError: If the file is encrypted, broken, no presentation, or larger unpacked than can be read.
        RecursionError: If its elements are nested too deep.
    """
    archive = Archive(data, name, suffix="pptx")
    slides = Slides(archive, archive.main_part("ppt/presentation.xml"))
    texts: list[str] = []
    locations: list[Location] = []
    start = 0
    for number, path in enumerate(slides.paths, 1):
        text = markdown(slides.blocks(path))
        if text:
            locations.append(Location(start, {"slide": number}))
            texts.append(text)
            start += len(text) + 1
    metadata = {**archive.core_metadata(), "slides": len(slides.paths)}
    return Parsed("\n".join(texts), metadata, locations, left_out(slides.left_out))
