"""Make `storage/async_store.py` of `storage/store.py`: the same methods as coroutines.

    python scripts/generate_async_store.py

A method becomes `async def`, and a call of one is awaited; the database's `run`, `read` and `ensure` become `arun`,
`aread` and `aensure`. What runs in a thread instead is not made but written, in `storage/thread_store.py`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

STORAGE = Path(__file__).parent.parent / "src" / "embedpipe" / "storage"
WRITTEN = ("to_async", "create_index", "upgrade", "reembed", "take_changes")
"""The methods of `ThreadStore`."""

HEADER = '''"""`AsyncPgVectorStore`: `PgVectorStore` for event loops.

Made of `store.py` by `scripts/generate_async_store.py`. Change that file, and run the script.
"""
'''
IMPORTS = {
    "parse_filter": "aparse_filter",
    "if TYPE_CHECKING:\n    from embedpipe.storage.async_store import AsyncPgVectorStore\n": (
        "from embedpipe.storage.store import PgVectorStore\nfrom embedpipe.storage.thread_store import ThreadStore\n\n"
        "if TYPE_CHECKING:\n    from sqlalchemy.ext.asyncio import AsyncConnection  # a tenth of a second\n"
    ),
}
CLASS = '''class AsyncPgVectorStore(ThreadStore):
    """`PgVectorStore` for event loops: the same arguments, and the same methods as coroutines."""
'''
LAST = "\n\nPgVectorStore._async_form = AsyncPgVectorStore  # noqa: SLF001 - which cannot import this module\n"


def generated() -> str:
    """Return the source of `async_store.py`."""
    source = (STORAGE / "store.py").read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    [store] = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    methods = [node for node in store.body if isinstance(node, ast.FunctionDef) and node.name not in WRITTEN]
    names = "|".join(node.name for node in methods)
    body = "\n".join(_awaiting("".join(lines[node.lineno - 1 : node.end_lineno]), names) for node in methods)
    imports = "".join(lines[ast.parse(source).body[0].end_lineno : store.lineno - 1])  # those after the docstring
    for old, new in IMPORTS.items():
        imports = imports.replace(old, new)
    return _formatted(f"{HEADER}{imports}\n\n{CLASS}\n{body}{LAST}")


def _awaiting(method: str, names: str) -> str:
    method = re.sub(r"^    def ", "    async def ", method)
    method = re.sub(rf"(?<!\w)self\.({names})\(", r"await self.\1(", method)
    method = re.sub(r"self\.database\.(run|read|ensure)\(", r"await self.database.a\1(", method)
    method = method.replace("parse_filter(", "await aparse_filter(")
    return re.sub(r"connection: Connection \|", "connection: AsyncConnection |", method)


def _formatted(source: str) -> str:
    """Return the source with its imports sorted and its lines broken as the project's are."""
    name = str(STORAGE / "async_store.py")
    for command in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"]
        source = subprocess.run(ruff, input=source, capture_output=True, text=True, check=False).stdout  # noqa: S603 - ours
    return source


if __name__ == "__main__":
    (STORAGE / "async_store.py").write_text(generated(), encoding="utf-8")
