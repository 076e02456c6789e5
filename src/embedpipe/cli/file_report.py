"""What `ingest` says about files: which were not taken, and what their texts lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from embedpipe.cli.render import counted, errors, legible
from embedpipe.errors import EmbedPipeError
from embedpipe.files import PassedOver
from embedpipe.types import Document

_HARMLESS = ("empty", "hidden")
_NAMES = 5
_LINES = 20


def not_taken(passed_over: Iterable[PassedOver], *, skip_unknown: bool = False) -> list[PassedOver]:
    """Return what a person may miss: all that was passed over but empty and hidden files.

    With `skip_unknown`, files of a suffix that is not read do not count either. A broken link still does.
    """
    harmless = (*_HARMLESS, "unknown suffix") if skip_unknown else _HARMLESS
    return [each for each in passed_over if each.reason not in harmless]


def remarks(document: Document) -> dict[str, Any]:
    """Return what a file's text lacks, and how sure its encoding is. Most files have nothing of that."""
    keys = ("left_out", "pages_without_text", "encoding_confidence")
    found = {key: document.metadata[key] for key in keys if document.metadata.get(key) not in (None, [])}
    return {**found, "encoding": document.metadata.get("encoding")} if "encoding_confidence" in found else found


def passed_over_json(passed_over: Sequence[PassedOver]) -> dict[str, Any]:
    missed = not_taken(passed_over)
    skipped = [each for each in passed_over if each.reason in _HARMLESS]
    return {
        "empty": sum(each.reason == "empty" for each in skipped),
        "skipped": [{"path": str(each.path), "reason": each.reason} for each in skipped],
        "not_taken": [{"path": str(each.path), "reason": each.reason} for each in missed],
    }


def print_passed_over(passed_over: Sequence[PassedOver], *, skip_unknown: bool) -> None:
    """Print what was passed over by kind, the most frequent first. Of each kind, some are named."""
    missed = not_taken(passed_over, skip_unknown=skip_unknown)
    if missed:
        remedy = "" if skip_unknown else " Convert them, or pass --skip-unknown to leave them out."
        _print(f"not taken: {counted(len(missed), 'file')}.{remedy}", "yellow")
        _print_kinds(missed)
    harmless = [each for each in passed_over if each.reason in _HARMLESS]
    if harmless:
        _print("skipped:")
        _print_kinds(harmless)


def _print_kinds(passed_over: Sequence[PassedOver]) -> None:
    of_kind: dict[str, list[PassedOver]] = {}
    for each in passed_over:
        of_kind.setdefault(each.advice or _kind(each), []).append(each)
    for kind, group in sorted(of_kind.items(), key=lambda pair: -len(pair[1])):
        suffixes = ", ".join(sorted({_kind(each) for each in group}))
        advice = "" if kind == suffixes else f" ({kind.rstrip('.')})"
        _print(f"  {len(group)} {suffixes}{advice}: {_some([str(each.path) for each in group])}")


def _kind(passed_over: PassedOver) -> str:
    if passed_over.reason != "unknown suffix":
        return passed_over.reason
    return passed_over.path.suffix.lower() or "without a suffix"


def print_failures(failures: Mapping[str, EmbedPipeError]) -> None:
    for error in [*failures.values()][:_LINES]:  # it names the file
        _print(f"not ingested: {error}", "red")
    _print_rest(failures)


def print_remarks(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what the texts lack, and which encodings were guessed, a line for each file."""
    lacking = {name: _some(known["left_out"]) for name, known in found.items() if "left_out" in known}
    if lacking:
        _print("not in the text:")
    for name, words in [*lacking.items()][:_LINES]:
        _print(f"  {name}: {words}")
    _print_rest(lacking)
    guessed = {name: known for name, known in found.items() if "encoding_confidence" in known}
    if guessed:
        _print("encoding guessed. If letters are wrong, ingest the file alone with --encoding:")
    for name, known in [*guessed.items()][:_LINES]:
        _print(f"  {name}: {known['encoding']}, confidence {known['encoding_confidence']:.2f}")
    _print_rest(guessed)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _print_rest(lines: Mapping[str, object]) -> None:
    if len(lines) > _LINES:
        _print(f"  and {len(lines) - _LINES} more. --json lists all.")


def _print(line: str, style: str = "") -> None:
    errors.print(Text(legible(line), style=style))
