"""What files that no program writes cost the parsers: the kinds of `tests/hostile_files.py`, each in a fresh process.

Printed for each format: how many kinds ended in text, in a refusal, or at the limit of memory or time; the kind that
took most processor time; and the kind that took most memory, modules included. On Linux only.

    python benchmarks/hostile_files.py [SIZE] [FORMAT ...]
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import psutil

from embedpipe.errors import InputError
from embedpipe.files import document_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hostile_files import KINDS

MEMORY_MB = 1024.0


class Cost(NamedTuple):
    """The seconds of processor time and the megabytes that one file took, and how it ended."""

    seconds: float
    megabytes: float
    outcome: str


def cost(suffix: str, data: bytes) -> Cost:
    """Parse a file, and return what it took. A process that was ended has lost its figures: the limits stand for it."""
    for child in psutil.Process().children():
        child.kill()
        child.wait()
    began = time.perf_counter()
    try:
        document_of(data, name=f"a.{suffix}")
        outcome = "text"
    except InputError as error:
        reasons = {"MB of memory": "memory", "was not read within": "time", "parser crashed": "crash"}
        outcome = next((name for words, name in reasons.items() if words in str(error)), "refused")
    took = time.perf_counter() - began
    children = psutil.Process().children()
    if not children:  # plain text is read here
        return Cost(took, MEMORY_MB if outcome in ("memory", "time", "crash") else 0.0, outcome)
    status = Path(f"/proc/{children[0].pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    times = children[0].cpu_times()
    return Cost(times.user + times.system, peak / 1024, outcome)


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for suffix in sys.argv[2:] or KINDS:
        costs = {kind: cost(suffix, written(size)) for kind, written in KINDS[suffix].items()}
        ends = ", ".join(f"{count} {end}" for end, count in Counter(each.outcome for each in costs.values()).items())
        slowest = max(costs, key=lambda kind: costs[kind].seconds)
        largest = max(costs, key=lambda kind: costs[kind].megabytes)
        print(
            f"{suffix:6} {size / 1e6:g} MB  {len(costs)} kinds: {ends}; {costs[slowest].seconds:.1f} s ({slowest}), "
            f"{costs[largest].megabytes:.0f} MB ({largest})",
            flush=True,
        )


if __name__ == "__main__":
    main()
