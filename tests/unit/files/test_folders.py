"""What lies below a folder is read, or passed over with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from embedpipe.files import PassedOver, found_files


def passed_over(folder: Path, *others: Path) -> list[tuple[str, str]]:
    found = found_files([folder, *others])
    return [(each.path.relative_to(folder).as_posix(), each.reason) for each in found.passed_over]


def test_every_entry_is_found_or_passed_over_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("a.md", "b/c.TXT", "b/d.xyz", "e", ".f.md", ".git/g.md", "b/.h/i.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "j.md").touch()
    (folder / "k.xyz").touch()
    (folder / "lost.md").symlink_to(folder / "nowhere")
    (folder / "round.md").symlink_to(folder / "round.md")
    (folder / "outside").symlink_to(tmp_path)
    (folder / "inside").symlink_to(folder / "b")
    os.mkfifo(folder / "pipe.md")
    found = found_files([folder])
    assert [file.relative_to(folder).as_posix() for file in found] == ["a.md", "b/c.TXT"]
    assert len(found) == 2
    assert passed_over(folder) == [
        (".f.md", "hidden"),
        (".git", "hidden"),
        ("b/.h", "hidden"),
        ("b/d.xyz", "unknown suffix"),
        ("e", "unknown suffix"),
        ("j.md", "empty"),
        ("k.xyz", "empty"),
        ("lost.md", "broken link"),
        ("outside", "link to a folder"),
        ("pipe.md", "no regular file"),
        ("round.md", "broken link"),
    ]


def test_what_is_named_twice_is_passed_over_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.xyz").write_text("x")
    assert passed_over(tmp_path, tmp_path / "b") == [("b/c.xyz", "unknown suffix")]


def test_files_that_are_named_are_never_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".hidden.xyz").touch()
    found = found_files([tmp_path / ".hidden.xyz"])
    assert (found.files, found.passed_over) == ([tmp_path / ".hidden.xyz"], [])


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (PassedOver(Path("a.DOC"), "unknown suffix"), "Save it as .docx"),
        (PassedOver(Path("a.zip"), "unknown suffix"), "Unpack it"),
        (PassedOver(Path("a.xyz"), "unknown suffix"), ""),
        (PassedOver(Path("a.doc"), "empty"), ""),
    ],
)
def test_the_advice_depends_on_the_suffix(passed: PassedOver, words: str) -> None:
    assert words in passed.advice
    assert bool(words) == bool(passed.advice)
