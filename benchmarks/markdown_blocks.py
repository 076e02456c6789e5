"""The blocks of Markdown: speed beside markdown-it-py, and the files for which the two disagree.

    python benchmarks/markdown_blocks.py [--repeats 5] [FOLDER ...]

Reads the FastAPI documentation, and the Markdown below the folders. markdown-it-py parses blocks only, with tables and
without what is inside a line. Printed: megabytes (code points) per second of processor time, the median of interleaved
repeats, and the number of blocks and of files that differ in a heading, fence, code, HTML block, table or rule. Front
matter is cut off for both.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from embedpipe.chunking import MarkdownChunker, RecursiveChunker
from embedpipe.chunking._markdown_blocks import markdown_blocks
from embedpipe.text import front_matter_end

TEXT = Path(__file__).parents[2] / "shared" / "data" / "text" / "fastapi_docs.jsonl.gz"
PARSER = MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"], True)
KINDS = {"heading_open", "fence", "code_block", "html_block", "table_open", "hr"}

Found = list[tuple[int, int]]
"""The line of each block, and its level for a heading."""


def theirs(text: str) -> Found:
    return [
        (token.map[0], int(token.tag[1]) if token.type == "heading_open" else 0)
        for token in PARSER.parse(text)
        if token.type in KINDS and token.map
    ]


def ours(text: str) -> Found:
    lines = [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]
    number = {start: line for line, start in enumerate(lines)}
    blocks = (block for block in markdown_blocks(text) if block.kind not in ("text", "matter"))
    return [(number[block.start], block.level) for block in blocks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    texts = [path.read_text("utf8", "replace") for folder in given.folders for path in folder.rglob("*.md")]
    if TEXT.exists():
        with gzip.open(TEXT, "rt", encoding="utf8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    if not texts:
        sys.exit(f"{TEXT.name} lies outside the project and is not there. Name a folder of Markdown.")
    texts = [text[front_matter_end(text) :] for text in texts]
    differ = [text for text in texts if ours(text) != theirs(text)]
    print(f"{len(texts)} files, {sum(len(theirs(text)) for text in texts)} blocks, {len(differ)} files differ")
    sides: dict[str, Callable[[str], Any]] = {
        "blocks": markdown_blocks,
        "markdown-it-py": PARSER.parse,
        "MarkdownChunker": MarkdownChunker().chunk,
        "RecursiveChunker, markdown": RecursiveChunker(language="markdown").chunk,
        "RecursiveChunker, prose": RecursiveChunker().chunk,
    }
    megabytes = sum(map(len, texts)) / 1e6
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(given.repeats):
        for name, side in sides.items():
            begun = time.process_time()
            for text in texts:
                side(text)
            speeds[name].append(megabytes / (time.process_time() - begun))
    for name, each in speeds.items():
        print(f"{name:26} {statistics.median(each):6.1f} MB/s (n = {given.repeats})")


if __name__ == "__main__":
    main()
