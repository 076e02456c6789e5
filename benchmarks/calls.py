"""Count the calls that one warm search and one small ingest make within embedpipe, and how deep the stack is at SQL.

python benchmarks/calls.py
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics
from types import FrameType

import embedpipe
from embedpipe import Document, SemanticSearchService
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import SearchMode

ROOT = str(Path(embedpipe.__file__).parent)


class Profile:
    """Calls of embedpipe's functions, and the deepest stack of its frames where a driver's `execute` began."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.statements = 0
        self.stack: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take an event of `sys.setprofile`."""
        code = frame.f_code
        if event != "call":
            return
        if code.co_filename.startswith(ROOT):
            self.calls[_name(frame)] += 1
        elif code.co_name == "execute" and code.co_filename.endswith(("psycopg/cursor.py", "psycopg/cursor_async.py")):
            self.statements += 1
            stack, above = [], frame.f_back
            while above is not None:
                if above.f_code.co_filename.startswith(ROOT):
                    stack.append(_name(above))
                above = above.f_back
            self.stack = max(self.stack, stack[::-1], key=len)


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename[len(ROOT) + 1 :]}:{code.co_qualname}"


def profiled(work: Callable[[], object]) -> Profile:
    """Run the work under a profile."""
    profile = Profile()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return profile


def main() -> None:
    """Print the counts of a dense, a lexical and a hybrid search, and of an ingest."""
    service = SemanticSearchService(FakeEmbeddingModel(64), collection="calls", chunker=None)
    words = " ".join(topics.values()).split()
    service.ingest([Document(id=f"d{i}", text=" ".join(words[i * 60 : i * 60 + 60])) for i in range(1000)])
    modes: tuple[SearchMode, ...] = ("dense", "lexical", "hybrid")
    for mode in modes:
        for _ in range(3):
            service.search("which index finds rows of a list", k=5, mode=mode)
        _report(mode, profiled(partial(service.search, "an object with attributes", k=5, mode=mode)))
    service.ingest([Document(id="first", text="The document that warms up.")])
    _report("ingest", profiled(partial(service.ingest, [Document(id="second", text="The document that counts.")])))


def _report(name: str, profile: Profile) -> None:
    files = {call.partition(":")[0] for call in profile.calls}
    print(
        f"{name}: {profile.calls.total()} calls, {len(profile.calls)} functions, {len(files)} files, "
        f"{len(profile.stack)} frames, {profile.statements} statements"
    )
    if "-v" in sys.argv:
        print("   " + " > ".join(profile.stack))
        for call, count in profile.calls.most_common():
            print(f"   {count:4d} {call}")


if __name__ == "__main__":
    main()
