"""The README's code, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", re.DOTALL | re.MULTILINE)
BLOCKS = SECTION.findall((ROOT / "README.md").read_text())


@pytest.mark.parametrize(("title", "code"), BLOCKS, ids=[title for title, _ in BLOCKS])
def test_the_readme_runs_as_it_stands(
    title: str, code: str, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)
    exec(compile(code, f"README: {title}", "exec"), {"__name__": "readme"})  # noqa: S102 - our own page
    assert capsys.readouterr().out.strip()


def test_the_frameworks_come_in_ten_lines_or_little_more() -> None:
    for title, code in BLOCKS:
        if title in ("LangChain", "LlamaIndex"):
            assert len([line for line in code.splitlines() if line and not line.startswith(("from", "import"))]) <= 10


def test_every_changelog_entry_has_a_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings
    assert all(re.fullmatch(r"\[(Unreleased|\d+\.\d+\.\d+)\]( - \d{4}-\d{2}-\d{2})?", heading) for heading in headings)
