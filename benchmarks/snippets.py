"""How often a snippet of a paragraph holds the answer to a question of SQuAD, beside the paragraph's beginning.

python benchmarks/snippets.py [questions]
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from embedpipe.types import Chunk, SearchResult

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval" / "squad_v11_dev"
LENGTHS = (120, 240)


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main(questions: int) -> None:
    paragraphs = {row["_id"]: row["text"] for row in rows("corpus")}
    asked = random.Random(1).sample(rows("spans"), questions)
    for length in LENGTHS:
        hits = {"snippet": 0, "beginning": 0}
        milliseconds = []
        for row in asked:
            text, answers = paragraphs[row["paragraph"]], [each["content"] for each in row["references"]]
            result = SearchResult(chunk=Chunk.whole(text, id=row["paragraph"]), score=1.0, query=row["question"])
            started = time.process_time()
            snippet = result.snippet(length)
            milliseconds.append(1000 * (time.process_time() - started))
            found = {"snippet": text[snippet.start_index : snippet.end_index], "beginning": text[:length]}
            for name, passage in found.items():
                hits[name] += any(answer in passage for answer in answers)
        shares = ", ".join(f"{name} {count / questions:.3f}" for name, count in hits.items())
        print(f"{length} characters, n = {questions}: {shares}; {median(milliseconds):.2f} ms of processor time each")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1200)
