"""What the layout promises: import contracts, light imports, a tree of errors that travels."""

from __future__ import annotations

import ast
import inspect
import pickle
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import embedpipe
from embedpipe import (
    AsyncPgVectorStore,
    Database,
    EmbeddingGenerator,
    PgVectorStore,
    RAGPipeline,
    SemanticSearchService,
    errors,
)

HEAVY = (
    "sqlalchemy",
    "numpy",
    "torch",
    "transformers",
    "sentence_transformers",
    "langchain_core",
    "llama_index",
    "openai",
    "typer",
    "rich",
)


def test_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    # A process of its own: the linter switches off every logger that is there.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_pulls_in_nothing_heavy() -> None:
    code = f"import sys, embedpipe; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_error_is_in_the_tree_of_the_docstring() -> None:
    assert errors.__doc__ is not None
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        if issubclass(cls, errors.EmbedPipeError):
            assert name in errors.__doc__


@pytest.mark.parametrize(
    "error",
    [
        errors.EmbedPipeError("plain"),
        errors.InputError("bad text"),
        errors.RateLimitError("slow down", inputs=[1, 2], retry_after=1.5),
        errors.TokenLimitError("too long", inputs=[3], token_counts=[9000], max_tokens=8191),
        errors.ProviderError("down", status=503),
        errors.ModelMismatchError("another model"),
    ],
)
def test_errors_pickle_with_their_attributes(error: errors.EmbedPipeError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made a line above
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert copy.__dict__ == error.__dict__


def parameters(function: Any) -> dict[str, Any]:
    """Names, kinds and defaults: what a caller must know, without the types of connections."""
    signature = inspect.signature(function)
    return {name: (each.kind, each.default) for name, each in signature.parameters.items()}


def public_methods(cls: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")}


def test_the_stores_are_twins() -> None:
    own = {"to_async", "to_sync", "collection"}
    assert public_methods(PgVectorStore) - own == public_methods(AsyncPgVectorStore) - own
    for name in public_methods(PgVectorStore) - own:
        twin = getattr(AsyncPgVectorStore, name)
        assert inspect.iscoroutinefunction(twin)
        assert parameters(getattr(PgVectorStore, name)) == parameters(twin)


def test_the_async_store_is_made_of_the_other() -> None:
    script = Path(__file__).parents[2] / "scripts" / "generate_async_store.py"
    made = runpy.run_path(str(script))
    source = (made["STORAGE"] / "async_store.py").read_text(encoding="utf-8")
    assert made["generated"]() == source, "run scripts/generate_async_store.py"


@pytest.mark.parametrize("cls", [SemanticSearchService, EmbeddingGenerator, RAGPipeline, Database])
def test_a_method_and_its_async_form_take_the_same(cls: type) -> None:
    pairs = [(name, f"a{name}") for name in public_methods(cls) if f"a{name}" in public_methods(cls)]
    assert pairs
    for name, other in pairs:
        assert parameters(getattr(cls, name)) == parameters(getattr(cls, other))


def test_every_public_name_is_there_and_documented() -> None:
    assert set(embedpipe.__all__) == set(embedpipe._HOME) <= set(dir(embedpipe))
    for name in embedpipe.__all__:
        assert getattr(embedpipe, name).__doc__
    with pytest.raises(AttributeError, match="nothing"):
        embedpipe.nothing  # noqa: B018 - the access is the test


SOURCE = Path(embedpipe.__file__).parent
OPEN = {
    "embedpipe": "its modules are the faces",
    "embedpipe.embedding.providers": "it imports the two providers whose paths are public, and these import it",
    "embedpipe.evaluation": "its measures need none of what the face imports",
    "embedpipe.metrics": "every stage imports its spans, which need none of what the face imports",
}
"""Packages of which others import modules, and why."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def faces() -> Iterator[tuple[str, set[str]]]:
    """Each package that exports names, with these: others import nothing else of it."""
    for path in SOURCE.rglob("__init__.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" and name_of(path) not in OPEN:
                yield name_of(path), set(ast.literal_eval(node.value))


FACES = dict(faces())


def imported(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Line, module and names of each `from ... import ...` of embedpipe in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("embedpipe."):
            yield node.lineno, node.module, [alias.name for alias in node.names]


def past_a_face(importer: str, module: str, names: list[str]) -> list[str]:
    """What an import takes of a package besides its face, as seen from outside of that package."""
    taken = []
    for face, exported in FACES.items():
        if not f"{importer}.".startswith(f"{face}."):
            if module == face:
                taken += [name for name in names if name not in exported and f"{face}.{name}" not in FACES]
            elif module.startswith(f"{face}.") and module not in FACES:
                taken += names
    return taken


def test_packages_are_imported_through_their_faces() -> None:
    # The contracts know modules alone: not whether a name of a face is one that it exports.
    found = []
    for path in SOURCE.rglob("*.py"):
        for line, module, names in imported(path):
            found += [f"{path}:{line}: {module}.{name}" for name in past_a_face(name_of(path), module, names)]
    assert {"embedpipe.storage", "embedpipe.storage.search", "embedpipe.embedding.engine"} < FACES.keys()
    assert not found, "\n".join(found)
