"""What the layout promises: import contracts, light imports, a tree of errors that travels."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import pytest
from importlinter.cli import lint_imports

from embedpipe import errors

HEAVY = ("torch", "transformers", "sentence_transformers", "langchain_core", "llama_index", "openai", "typer", "rich")


def test_import_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


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
