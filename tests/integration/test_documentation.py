"""What the README and the pages under docs/ show, run as it stands."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from embedpipe import errors

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
SHELL = ("sh", "bash", "shell", "console")
SHOWN = "{code-block} python"
PRINTED = re.compile(r"\n```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d[\d,]*(\.\d+)?(e-?\d+)?")
UPDATE = bool(os.environ.get("EMBEDPIPE_UPDATE_PAGES"))
OPERATORS = {"|", "||", "&&", ";", ">", "<"}


def fences(page: Path, *languages: str) -> Iterator[tuple[int, str, str | None]]:
    """The line on which each fenced block begins, what is in it, and what the page says directly below it prints."""
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        if fence[2].strip() in languages:
            printed = PRINTED.match(text, fence.end() + 1)
            code = re.sub(r"^:.*\n", "", fence[3], flags=re.MULTILINE)
            yield text.count("\n", 0, fence.start(3)), code, printed and printed[1]


def blocks(page: Path, *languages: str) -> Iterator[tuple[int, str]]:
    for line, code, _ in fences(page, *languages):
        yield line, code


def _shown(code: str, printed: str) -> str:
    return f"{code}```\n\n```text\n{printed}```"


def without_numbers(printed: str) -> list[str]:
    """The words of each line: times differ from run to run, and the last digits of scores between machines."""
    return [" ".join(NUMBER.sub("0", line).split()) for line in printed.strip().splitlines()]


def with_blocks(*languages: str) -> list[Any]:
    found = [page for page in PAGES if any(blocks(page, *languages))]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in found]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command, up to a pipe or redirection."""
    for _, text in blocks(page, *SHELL):
        for line in text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in OPERATORS:
                    words.append(word)
                elif words:
                    yield [word for word in words if not re.match(r"[A-Z_]+=", word)]
                    words = []


@pytest.mark.parametrize("page", with_blocks("python"))
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for line, code, stated in fences(page, "python"):
        exec(compile("\n" * line + code, str(page), "exec"), names)  # noqa: S102 - our own page
        printed = capsys.readouterr().out
        assert "print" not in code or printed.strip()
        if stated is None or without_numbers(printed) == without_numbers(stated):
            continue
        assert UPDATE, f"below line {line} it prints {printed!r}. EMBEDPIPE_UPDATE_PAGES=1 writes that into the page."
        page.write_text(page.read_text("utf-8").replace(_shown(code, stated), _shown(code, printed)), "utf-8")


@pytest.mark.parametrize("page", with_blocks(SHOWN))
def test_code_that_is_only_shown_is_python(page: Path) -> None:
    for line, code in blocks(page, SHOWN):
        ast.parse("\n" * line + code, str(page))


@cache
def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


def parse(words: list[str]) -> None:
    """Raises where the command line would refuse the words as a wrong usage."""
    from typer.main import get_command

    from embedpipe.cli.app import app

    command: Any = get_command(app)
    path = "embedpipe"
    while words and words[0] in getattr(command, "commands", {}):
        path, command, words = words[0], command.commands[words[0]], words[1:]
    if "--help" not in words:
        command.make_context(path, list(words))


@pytest.mark.parametrize("page", with_blocks(*SHELL))
def test_the_commands_of_a_page_are_there(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for words in commands(page):
        match words:
            case ["embedpipe", *arguments]:
                parse(arguments)
            case ["make", target, *_]:
                assert target in targets
            case ["pip", "install", *requirements]:
                for named in re.findall(r"embedpipe\[([a-z,-]+)\]", " ".join(requirements)):
                    assert set(named.split(",")) <= extras()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    for path in set(re.findall(r"(?<!`)`(embedpipe(?:\.\w+)+)(?=[`(])", page.read_text(encoding="utf-8"))):
        if re.fullmatch(r"embedpipe\.collection_\d+", path):  # a view in the database
            continue
        module, _, name = path.rpartition(".")
        try:
            importlib.import_module(path)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), name), path


def test_the_frameworks_come_in_ten_lines_or_little_more() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    for title in ("LangChain", "LlamaIndex"):
        code = readme.partition(f"## {title}\n")[2].partition("```python\n")[2].partition("```")[0]
        lines = [line for line in code.splitlines() if line and not line.startswith(("from", "import"))]
        assert 1 <= len(lines) <= 10


def test_every_error_has_its_remedy_on_the_page_of_errors() -> None:
    classes = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^#+ (\w+Error)$", page, re.MULTILINE)) == classes


def test_every_public_module_is_in_the_reference() -> None:
    packages = (ROOT / "src" / "embedpipe").glob("[!_]*/__init__.py")
    public = {path.parent.name for path in packages if "__all__" in path.read_text(encoding="utf-8")}
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    assert public <= set(re.findall(r"automodule:: embedpipe\.(\w+)$", pages, re.MULTILINE))


def test_every_changelog_entry_has_a_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings
    assert all(re.fullmatch(r"\[(Unreleased|\d+\.\d+\.\d+)\]( - \d{4}-\d{2}-\d{2})?", heading) for heading in headings)
