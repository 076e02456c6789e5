from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from sqlalchemy import text

import office
from bad_provider import Handler, serving
from chat_server import running
from embedpipe import Database, Document, PgVectorStore
from embedpipe.chunking import SentenceChunker
from embedpipe.cli import main
from embedpipe.cli.demo import python_reference, run_demo
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.export import load_export
from embedpipe.service import SemanticSearchService
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel
from provider_habits import CHATS

MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture
def command(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, in this process, on the test's own database."""
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["embedpipe", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        out, err = capsys.readouterr()
        return Ended(code, out, err) if isinstance(code, int) else Ended(1, out, f"{err}{code}")

    return run


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes with space"
    folder.mkdir()
    (folder / "bees.md").write_text("# Bees\n\nA honey bee colony has one queen. Workers live six weeks in summer.\n")
    (folder / "code.py").write_text("def answer():\n    return 42\n")
    (folder / "tides.txt").write_text("Spring tides come at new and full moon. Neap tides come at the quarters.\n")
    (folder / ".hidden.txt").write_text("secret\n")
    return folder


def test_ingest_search_and_ask(command: Command, notes: Path) -> None:
    first = command("ingest", notes, "--json").json
    assert (first["added"], first["kept"], first["failures"]) == (3, 0, {})
    assert first["chunks_embedded"] == 3
    again = command("ingest", notes)
    assert "nothing was embedded again" in again.out
    (notes / "tides.txt").write_text("Spring tides come at new and full moon.\n")
    assert command("ingest", notes, "--json").json["changed"] == 1

    hits = command("search", "when are tides highest?", "-k", 2, "--json").json["results"]
    assert len(hits) == 2
    assert hits[0]["document_id"] == (notes / "tides.txt").resolve().as_posix()
    assert (notes / "tides.txt").read_text()[hits[0]["start_index"] : hits[0]["end_index"]] == hits[0]["text"]
    python = command("search", "when are tides highest?", "--filter", '{"suffix": ".py"}', "--json").json["results"]
    assert [hit["metadata"]["name"] for hit in python] == ["code.py"]
    table = command("search", "queen of the bees")
    assert "\nbelow " + notes.resolve().as_posix() + "/\n" in table.out
    assert " bees.md [0:" in table.out
    assert "Bees: A honey bee colony has one queen." in table.out
    assert "document [start:end]" in table.out
    snippet = hits[0]["snippet"]
    assert [snippet["text"][span["start"] : span["end"]] for span in snippet["spans"]] == ["tides"]

    phrase = ("search", 'when are "spring tides" highest?', "--required-phrases", "--json")
    assert [hit["metadata"]["name"] for hit in command(*phrase).json["results"]] == ["tides.txt"]
    asked = command("ask", 'What says "one queen"?', "--required-phrases", "--json").json
    assert [source["document_id"].rpartition("/")[2] for source in asked["sources"]] == ["bees.md"]

    response = command("ask", "How long do worker bees live?", "--json").json
    text = (notes / "bees.md").read_text()
    cited = [c for s in response["statements"] for c in s["citations"] if c["document_id"].endswith("bees.md")]
    assert cited
    assert all(text[c["start_index"] : c["end_index"]] == c["quote"] for c in cited)
    shown = command("ask", "How long do worker bees live?")
    assert "six weeks in summer. [1]" in " ".join(shown.out.split())
    assert "✓ quoted  bees.md [" in shown.out


@pytest.mark.parametrize("width", [60, 200])
def test_a_table_fits_the_terminal(command: Command, notes: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedpipe.cli.render.console.width", width)
    command("ingest", notes)
    table = command("search", "queen of the bees", "-k", 3).out
    assert max(map(len, table.splitlines()[:-1])) <= width
    assert table.count("lexical") == (3 if width == 60 else 1)


def test_answers_are_checked_and_documents_forgotten(command: Command, notes: Path, database: Database) -> None:
    bees = notes / "bees.md"
    command("ingest", bees, "--history")
    before = database.run(lambda connection: connection.scalar(text("SELECT clock_timestamp()")))
    asked = command("ask", "How long do workers of the honey bee live?", "--keep")
    answer_id = asked.out.rsplit("kept as ", 1)[1].split()[0]
    assert command("verify", answer_id).code == 0
    bees.write_text(bees.read_text().replace("six", "seven"))
    command("ingest", bees)
    checked = command("verify", answer_id)
    assert checked.code == 1
    assert "Workers live seven weeks in summer." in checked.out
    assert answer_id in command("affected", bees).out
    assert "six weeks" in command("search", "workers", "--as-of", before.isoformat(), "--json").out
    assert "six weeks" not in command("search", "workers", "--json").out
    assert command("search", "workers", "--as-of", "yesterday").code == 2
    gone = command("forget", bees, "--yes", "--json").json
    assert gone == {"chunks": 1, "versions": 2, "answers": 1}
    assert command("forget", bees, "--yes").code == 1


def test_chunkers_headers_and_rerankers_by_name(command: Command, notes: Path, database: Database) -> None:
    text = "# Tea\n\n## Green\n\nSteep it at 80 °C. Two minutes.\n\n## Black\n\nBoiling water. Four minutes.\n"
    (notes / "tea.md").write_text(text)
    cut = ("ingest", notes / "tea.md", "--json")
    assert command(*cut, "--chunker", "markdown", "--headers").json["chunks_embedded"] == 2
    store = PgVectorStore(database)
    headers = {chunk.text.partition("\n")[0]: chunk.header for chunk in store.find()}
    assert headers == {"# Tea": "Tea > Green", "## Black": "Tea > Black"}
    for name in ("recursive", "sentence", "paragraph", "tokens", "semantic"):
        assert command(*cut, "--chunker", name, "--chunk-size", 20).json["changed"] == 1
        assert max(len(chunk.text) for chunk in store.find()) <= (100 if name == "tokens" else 20)
    command(*cut, "--chunker", "sentence", "--chunk-size", 45, "--chunk-overlap", 1)
    expected = SentenceChunker(chunk_size=45, overlap_sentences=1).chunk(text)
    assert [chunk.text for chunk in store.find()] == [chunk.text for chunk in expected]
    assert command(*cut, "--chunker", "none").json["chunks_embedded"] == 1
    assert command(*cut, "--chunk-size", "model").json["changed"] == 1

    plain = command("search", "boiling water", "--json").json["results"]
    assert {hit["rerank_score"] for hit in plain} == {None}
    reranked = command("search", "boiling water", "--rerank", "lexical", "--candidates", 7, "--json").json["results"]
    assert reranked[0]["rerank_score"] == reranked[0]["score"] > 0
    missing = command("search", "boiling water", "--rerank", "cross-encoder:/no/such/folder")
    assert (missing.code, "cross-encoder /no/such/folder failed" in missing.err) == (1, True)
    assert "80 °C" in command("ask", "How hot is the water for green tea?", "--rerank", "lexical").out


def test_a_terminal_that_knows_no_umlauts_gets_an_answer(notes: Path, database_url: str) -> None:
    (notes / "cheese.txt").write_text("Käse 🧀 is made of milk.")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "EMBEDPIPE_DATABASE_URL": database_url}

    def run(*arguments: object) -> str:
        command = [sys.executable, "-m", "embedpipe", *map(str, arguments)]
        ended = subprocess.run(command, env={**os.environ, **plain}, capture_output=True, check=True)
        return ended.stdout.decode("ascii")

    run("ingest", notes / "cheese.txt")
    assert "K?se" in run("search", "milk")
    assert json.loads(run("search", "milk", "--json"))["results"][0]["text"] == "Käse 🧀 is made of milk."


def test_completion_knows_the_commands() -> None:
    words = {"COMP_WORDS": "embedpipe e", "COMP_CWORD": "1", "_EMBEDPIPE_COMPLETE": "complete_bash"}
    code = "import sys; sys.argv = ['embedpipe']; from embedpipe.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, **words}, capture_output=True, text=True)
    assert ended.stdout.split() == ["export", "evaluate"]


def test_ask_with_a_language_model(command: Command, notes: Path) -> None:
    command("ingest", notes)
    with running() as server:
        shown = command("ask", "How long do bees live?", "--llm", "gpt-test", "--llm-url", server.base_url)
    assert 'The source says "' in shown.out
    assert "gpt-test · 42 tokens" in shown.out
    with running("misquote") as server:
        shown = command("ask", "How long do bees live?", "--llm", "gpt-test", "--llm-url", server.base_url)
    assert "✗ misquoted" in shown.out
    with running(faults=[400]) as server:
        failed = command("ask", "How long do bees live?", "--llm", "gpt-test", "--llm-url", server.base_url)
    assert (failed.code, failed.out.strip()) == (1, "")
    assert "error: gpt-test: the request failed with status 400" in failed.err


def test_servers_of_ones_own_are_named_by_options(
    command: Command, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if "query" in body:
            handler.send_json([{"index": n, "score": len(text) / 1000} for n, text in enumerate(texts)])
        elif "messages" in body:
            handler.send(CHATS["anthropic"].habit.stream("An ", "answer."))
        else:
            handler.send_json({"data": [{"index": n, "embedding": [1.0, n + 1.0, 2.0]} for n in range(len(texts))]})

    with serving(reply) as server:
        model = ["--model", "openai:own", "--model-url", server.origin]
        model += ["--query-prompt", "ask: ", "--document-prompt", "text: "]
        assert command("ingest", notes, *model).code == 0
        assert all(text.startswith("text: ") for text in server.requests[-1]["input"])
        for reranker in (["tei", "--rerank-url", server.origin], [f"tei:{server.origin}"]):
            found = command("search", "bees", *model, "--rerank", *reranker, "--json").json["results"]
            assert found[0]["rerank_score"] == max(len(hit["text"]) for hit in found) / 1000
            assert server.requests[-2]["input"] == ["ask: bees"]
        chat = ("--llm", "anthropic:claude-test", "--llm-url", server.origin)
        assert "An answer." in command("ask", "How long do bees live?", *model, *chat).out
        assert server.paths[-1] == "/v1/messages"
    dead = command("search", "bees", *model, "--rerank", "tei", "--rerank-url", server.origin)
    assert dead.code == 1
    assert "--model-url" in dead.err
    missing = command("ask", "bees", "--llm", "anthropic:claude-test")
    assert "base_url" not in dead.err + missing.err
    assert "api_key" not in dead.err + missing.err


def test_a_file_that_cannot_be_read_costs_no_other(command: Command, notes: Path) -> None:
    (notes / "binary.txt").write_bytes(b"K\0\xffse")
    (notes / "empty.txt").write_text(" \n")
    ended = command("ingest", notes)
    assert ended.code == 1
    assert "3 new, 2 failed documents" in ended.out
    assert "binary.txt is no text: it holds NUL bytes" in " ".join(ended.err.split())
    assert "empty.txt holds no text" in " ".join(ended.err.split())


def test_what_failed_is_named_as_it_was_given(command: Command, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command("ingest", notes)
    (notes / "nul.txt").write_text("a character \0 that no database takes")
    (notes / "broken.pdf").write_bytes(b"%PDF-")
    monkeypatch.chdir(notes.parent)
    ended = command("ingest", notes.name, "--json")
    report = json.loads(ended.out)
    assert (ended.code, report["documents"], report["kept"]) == (1, 5, 3)
    assert sorted(report["failures"]) == [f"{notes.name}/broken.pdf", f"{notes.name}/nul.txt"]


def test_an_empty_file_is_passed_over_where_it_was_found_and_fails_where_it_was_named(
    command: Command, notes: Path
) -> None:
    (notes / "__init__.py").touch()
    ended = command("ingest", notes)
    assert (ended.code, "1 empty file skipped" in ended.out) == (0, True)
    assert command("ingest", notes, "--json").json["empty"] == 1
    named = command("ingest", notes / "__init__.py")
    assert (named.code, "__init__.py is empty (0 bytes)" in " ".join(named.err.split())) == (1, True)


def test_what_a_folder_holds_and_is_not_taken_is_named_and_counted(command: Command, notes: Path) -> None:
    (notes / ".git").mkdir()
    for name in (".git/config", *(f"{number:02}.png" for number in range(12)), "old.doc", "LICENSE"):
        (notes / name).write_bytes(b"x")
    (notes / "empty.md").touch()
    (notes / "lost.md").symlink_to(notes / "nowhere")
    ended = command("ingest", notes)
    told = " ".join(ended.err.split())
    assert (ended.code, "1 empty file skipped; 15 files not taken" in " ".join(ended.out.split())) == (1, True)
    assert "not taken: 15 files. Convert them, or pass --skip-unknown to leave them out. 12 .png (an image." in told
    assert f"{notes}/00.png" in told
    assert f"{notes}/11.png" not in told
    assert "and 7 more" in told
    assert "1 .doc (of Word before 2007. Save it as .docx or .pdf): " in told
    assert f"1 without a suffix: {notes}/LICENSE" in told
    assert f"1 broken link: {notes}/lost.md" in told
    assert f"1 empty: {notes}/empty.md" in told
    assert f"2 hidden: {notes}/.git, {notes}/.hidden.txt" in told
    report = json.loads(command("ingest", notes, "--json").out)
    assert len(report["not_taken"]) == 15
    assert {"path": f"{notes}/11.png", "reason": "unknown suffix"} in report["not_taken"]
    assert [each["reason"] for each in report["skipped"]] == ["hidden", "hidden", "empty"]
    lost = command("ingest", notes, "--skip-unknown")
    assert (lost.code, "1 broken link" in lost.err, "png" in lost.err) == (1, True, False)
    (notes / "lost.md").unlink()
    quiet = command("ingest", notes, "--skip-unknown")
    assert (quiet.code, "14 files not taken" in quiet.out, "png" in quiet.err) == (0, True, False)


def test_a_folder_of_unknown_files_alone_is_an_error_that_names_them(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.key").write_bytes(b"x")
    ended = command("ingest", tmp_path, "--skip-unknown")
    assert (ended.code, "There are no files to read" in ended.err) == (1, True)
    assert "1 .key (a presentation of Apple Keynote." in command("ingest", tmp_path).err


def test_names_that_no_terminal_shows_are_escaped(command: Command, notes: Path) -> None:
    (notes / "two\nlines.png").write_bytes(b"x")
    (notes / "two\nlines.txt").write_text("Two lines in one name.")
    try:
        Path(os.fsdecode(os.fsencode(notes) + b"/latin-\xe4.txt")).write_text("Green tea.")
    except OSError:
        pytest.skip("this file system has no such names")
    ended = command("ingest", notes)
    assert ended.code == 1
    assert "two\\nlines.png" in ended.err
    assert "latin-\\udce4.txt has bytes in its name that are no UTF-8. Rename it" in " ".join(ended.err.split())
    report = json.loads(command("ingest", notes, "--json").out)
    assert (report["kept"], [*report["failures"]]) == (4, [f"{notes}/latin-\udce4.txt"])


def test_records_are_documents_of_their_file(command: Command, tmp_path: Path, database: Database) -> None:
    teas, beside = tmp_path / "teas.jsonl", tmp_path / "teas.jsonl#1.md"

    def write(*names: str) -> None:
        teas.write_text("".join(json.dumps({"id": name, "post": {"body": f"{name} tea."}}) + "\n" for name in names))

    def ids() -> set[str]:
        return {Path(str(chunk.document_id)).name for chunk in PgVectorStore(database).find()}

    def ingested(*options: object) -> dict[str, int]:
        report = command("ingest", teas, "--text-field", "post.body", "--id-field", "id", "--json", *options).json
        return {name: report[name] for name in ("added", "changed", "kept", "removed")}

    write("Green", "Black", "White")
    beside.write_text("A file with a number sign in its name.")
    command("ingest", beside)
    assert ingested() == {"added": 3, "changed": 0, "kept": 0, "removed": 0}
    assert ids() == {"teas.jsonl#Green", "teas.jsonl#Black", "teas.jsonl#White", "teas.jsonl#1.md"}
    write("Green", "White", "Yellow")
    assert ingested() == {"added": 1, "changed": 0, "kept": 2, "removed": 1}  # one that moved is as it was
    assert ids() == {"teas.jsonl#Green", "teas.jsonl#White", "teas.jsonl#Yellow", "teas.jsonl#1.md"}
    write("Green")
    assert ingested("--prune") == {"added": 0, "changed": 0, "kept": 1, "removed": 3}
    beside.unlink()
    assert command("delete", teas, "--yes", "--json").json == {"documents": 1, "chunks": 1}
    assert ids() == set()


def test_an_encoding_that_was_guessed_is_told_and_can_be_set(command: Command, notes: Path) -> None:
    (notes / "kaese.txt").write_bytes("Der Käse ist schön weich, und die Brötchen sind süß.".encode("latin-1"))
    ended = command("ingest", notes)
    assert (ended.code, "encoding guessed" in ended.err, f"{notes}/kaese.txt: cp1252" in ended.err) == (0, True, True)
    assert command("ingest", notes, "--json").json["remarks"][f"{notes}/kaese.txt"]["encoding"] == "cp1252"
    (notes / "kaese.txt").write_bytes("Сыр и хлеб".encode("koi8-r"))
    told = command("ingest", notes / "kaese.txt", "--encoding", "koi8-r")
    assert (told.code, told.err) == (0, "")
    assert "Сыр и хлеб" in command("search", "сыр", "-k", 1, "--mode", "lexical", "--json").json["results"][0]["text"]
    assert command("ingest", notes, "--encoding", "klingon").code == 1


def test_documents_cut_anew_into_the_same_chunks_have_changed(command: Command, notes: Path) -> None:
    command("ingest", notes)
    again = command("ingest", notes, "--chunker", "sentence", "--chunk-size", 900)
    assert "3 changed documents; 0 chunks embedded" in again.out


def test_office_files_and_what_is_wrong_with_some(command: Command, tmp_path: Path) -> None:
    (tmp_path / "manual.pdf").write_bytes(office.pdf(["Green tea takes two minutes.", "Black tea takes four minutes."]))
    (tmp_path / "letter.docx").write_bytes(office.word(lambda document: document.add_heading("Oolong tea", 1)))
    (tmp_path / "page.html").write_text("<h1>White tea</h1><p>Steep it at 75 °C.")
    (tmp_path / "scan.pdf").write_bytes(office.pdf([None]))
    (tmp_path / "broken.docx").write_bytes(b"PK")
    ended = command("ingest", tmp_path, tmp_path / "page.html", "--json")
    assert ended.code == 1
    report = json.loads(ended.out)
    assert report["added"] == 3
    assert report["documents"] == 5
    assert sorted(Path(name).name for name in report["failures"]) == ["broken.docx", "scan.pdf"]
    [hit] = command("search", "black tea", "-k", 1, "--filter", '{"suffix": ".pdf"}', "--json").json["results"]
    dates = dict.fromkeys(("created", "modified"), "2000-01-01T00:00:00+00:00")
    assert hit["metadata"] == {"name": "manual.pdf", "suffix": ".pdf", "pages": 2, "page": 1, "page_end": 2, **dates}
    assert "] pp. 1–2" in command("search", "black tea", "-k", 1, "--filter", '{"suffix": ".pdf"}').out
    shown = command("ingest", tmp_path / "scan.pdf")
    assert "nothing was ingested, 1 failed" in shown.out
    assert "scan.pdf holds only images" in " ".join(shown.err.split())
    assert command("ingest", tmp_path, "--prune").code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", " "], 1, "error: "),
        (["ask", ""], 1, "error: The question is ''"),
        (["search", "x", "--model", "no-such-model"], 1, "no-such-model"),
        (["search", "x", "--database", "postgresql://u:secret@127.0.0.1:1/x"], 1, "error: The database"),
        (["search", "x", "--database", "mysql://u:secret@localhost/x"], 1, "error: "),
        (["search", "x", "--filter", "year > 3"], 2, "is not a JSON object"),
        (["ask", "x", "--filter", "[1]"], 2, "is not a JSON object"),
        (["delete", "--filter", '{"year": {"$above": 3}}'], 2, "--filter: filter 'year': there is no operator $above"),
        (["ingest", "no/such/file"], 1, "error: no/such/file is not there"),
        (["evaluate", "no/such/folder"], 1, "error: no/such/folder does not exist"),
        (["search", "x", "--rerank", "magic"], 2, "--rerank: There is no reranker 'magic'"),
        (["search", "x", "--candidates", "5"], 2, "--rerank"),
        (["search", "x", "--rerank", "lexical", "--candidates", "2"], 2, "--candidates is 2, less than -k (5)"),
        (["ask", "x", "--rerank", "lexical", "--candidates", "2"], 2, "--candidates is 2, less than -k (5)"),
        (["ask", "x", "--rerank", "lexical:x"], 2, "--rerank: The reranker 'lexical' takes no model"),
        (["ingest", "src", "--chunker", "magic"], 2, "--chunker: there is no chunker 'magic'"),
        (["ingest", "src", "--chunker", "none", "--chunk-size", "9"], 2, "has no size or overlap"),
        (["ingest", "src", "--chunker", "markdown", "--chunk-overlap", "9"], 2, "has no overlap"),
        (["ingest", "src", "--chunk-size", "ten"], 2, "a whole number"),
        (["ingest", "src", "--chunk-size", "0"], 2, "1 or more"),
        (["ingest", "src", "--chunk-overlap", "1000"], 2, "less than chunk_size"),
        (["evaluate", "x", "--model", "a", "--model", "b"], 2, "several models need --chunker"),
        (["ask", "x", "--llm-url", "http://localhost"], 2, "--llm-url needs --llm"),
        (["search", "x", "--rerank-url", "http://localhost"], 2, "--rerank-url needs --rerank"),
        (["serve", "--rerank-url", "http://localhost"], 2, "--rerank-url needs --reranker"),
        (["models", "check"], 2, "check --rerank NAME"),
        (["models", "--llm", "openai:m"], 2, "check --llm NAME"),
        (["models", "check", "--rerank", "magic"], 2, "--rerank: There is no reranker 'magic'"),
        (["models", "check", "local:x", "--rerank-url", "http://localhost"], 2, "--rerank-url needs --rerank"),
        (["ask", "x", "--llm", "magic:m"], 2, "--llm: There is no provider 'magic' of chat models"),
        (["ask", "x", "--llm", "magic:m"], 2, "pass --llm-url and name it 'openai:magic:m'"),
        (["ask", "x", "--rerank", "lexical", "--rerank-url", "http://x"], 2, "'lexical' takes no --rerank-url"),
        (["ask", "x", "--rerank", "tei:nowhere"], 2, "--rerank-url cannot be read"),
        (["search", "x", "--model-url", "http://x", "--model", "opnai:m"], 1, "Did you mean 'openai:m'?"),
        (["search", "x", "--model", "magic:m"], 1, "pass --model-url."),
        (["search", "x", "--query-prompt", "a", "--model", "cohere:embed-v4.0"], 1, "takes no --query-prompt"),
        (["search"], 2, "Missing argument"),
        (["search", "x", "-k", "0"], 2, "-k"),
        (["search", "x", "--mode", "magic"], 2, "magic"),
        (["conjure"], 2, "conjure"),
    ],
)
def test_a_mistake_gets_a_message_and_an_exit_code(
    command: Command, database: Database, arguments: list[str], code: int, message: str
) -> None:
    PgVectorStore(database, model=EmbeddingGenerator(MODEL).spec).create()
    ended = command(*arguments)
    assert ended.code == code
    assert message in " ".join(ended.err.replace("│", " ").split())
    assert "Traceback" not in ended.err
    assert "secret" not in ended.err


def test_a_collection_that_is_not_there_is_named_and_not_made(command: Command) -> None:
    for name in ("search", "ask"):
        ended = command(name, "anything", "-c", "typo")
        assert ended.code == 1
        assert "no collection 'typo'" in " ".join(ended.err.split())
    assert "no collections yet" in command("db", "collections").out


def test_models_and_db(command: Command, server_url: str) -> None:
    assert MODEL in [row["name"] for row in command("models", "--json").json]
    listed = command("models").out.splitlines()
    assert next(line for line in listed if MODEL in line).split()[-1] == "free"
    assert next(line for line in listed if "voyage-4-lite" in line).split()[-1] == "unknown"
    url = server_url.replace("postgres@", "embedpipe@")
    assert command("db", "url", "--json").json == {"url": url}
    assert command("db", "url").out.strip() == url


def test_migrate_makes_a_collection_or_prints_how(command: Command, database: Database) -> None:
    arguments = ("-c", "ready", "--model", MODEL, "--language", "german", "--no-lexical", "--grant-to", "postgres")
    script = command("db", "migrate", "--sql", *arguments).out
    assert script.startswith("BEGIN;")
    assert "CREATE TABLE embedpipe.c1_chunks" in script
    assert "GRANT SELECT ON ALL TABLES IN SCHEMA embedpipe TO postgres" in script
    assert database.collections() == []
    assert command("db", "migrate", *arguments).code == 0
    assert command("db", "migrate", *arguments).code == 0
    [info] = database.collections()
    assert (info.name, info.model.dimensions, info.language) == ("ready", 384, "german")
    assert not PgVectorStore(database, collection="ready").collection.lexical
    assert command("db", "migrate", *arguments, "--json").json == {"schema": "embedpipe", "collection": "ready"}
    assert command("db", "migrate", "--sql", "--json").json["sql"].startswith("BEGIN;")
    refused = command("db", "migrate", "-c", "other")
    assert (refused.code, "Name its model" in refused.err) == (1, True)


def test_doctor_says_what_is_wrong(command: Command, database: Database, notes: Path) -> None:
    assert "no tables yet" not in command("doctor").out
    command("ingest", notes)
    found = command("doctor", "--json").json
    assert (found["healthy"], found["findings"], found["collections"][0]["chunks"]) == (True, [], 3)
    shown = command("doctor")
    assert (shown.code, "nothing to do" in shown.out) == (0, True)
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM embedpipe.c1_vectors_1"))
    wrong = command("doctor")
    assert (wrong.code, "default: 3 chunks have no vector" in " ".join(wrong.out.split())) == (1, True)
    assert not json.loads(command("doctor", "--json").out)["healthy"]


def test_documents_are_removed_once_they_are_named(
    command: Command, notes: Path, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    command("ingest", notes)
    monkeypatch.setattr(sys, "stdin", StringIO("n\n"))
    assert command("delete", notes / "tides.txt").code == 1
    monkeypatch.chdir(notes)
    assert command("delete", "tides.txt", "--yes", "--json").json == {"documents": 1, "chunks": 1}
    assert command("delete", "not there", "--yes").code == 1
    assert "removed 1 chunk of 1 document" in command("delete", "--filter", '{"suffix": ".py"}', "-y").out
    assert command("delete").code == 1

    assert command("ingest", notes, "--json").json["added"] == 2
    (notes / "code.py").unlink()
    pruned = command("ingest", notes, "--prune", "--json").json
    assert (pruned["kept"], pruned["removed"]) == (2, 1)
    (notes / "tides.txt").write_bytes(b"\xff\xfe")
    refused = command("ingest", notes, "--prune")
    assert (refused.code, "cannot be read now" in refused.err) == (1, True)
    assert database.collections()[0].documents == 2

    assert command("db", "drop", "default", "--yes", "--json").json == {"collection": "default", "chunks": 2}
    assert command("db", "drop", "default", "--yes").code == 1


def test_a_document_that_is_not_there_is_named(command: Command, notes: Path) -> None:
    command("ingest", notes)
    ended = command("delete", "typo.md", notes / "bees.md", "--yes", "--json")
    assert (ended.code, json.loads(ended.out)) == (1, {"documents": 1, "chunks": 1})
    assert "typo.md: there is no such document in 'default'" in ended.err
    empty = command("delete", "", "--yes")
    assert (empty.code, "name is empty" in empty.err) == (1, True)


def test_a_folder_stands_for_what_was_ingested_from_below_it(command: Command, notes: Path, database: Database) -> None:
    beside = notes.with_name(f"{notes.name} too")
    beside.mkdir()
    (beside / "moon.txt").write_text("The moon is far.")
    command("ingest", notes, beside)
    notes.rename(notes.with_name("moved"))
    assert command("delete", f"{notes}/", "--yes", "--json").json == {"documents": 3, "chunks": 3}
    assert [chunk.document_id for chunk in PgVectorStore(database).find()] == [
        (beside / "moon.txt").resolve().as_posix()
    ]


def test_a_question_and_its_answer_leave_stdout_to_the_json(
    command: Command, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("ingest", notes)
    monkeypatch.setattr(sys, "stdin", StringIO("y\n"))
    asked = command("delete", notes / "bees.md", "--json")
    assert (asked.json, "Remove 1 chunk of 1 document" in asked.err) == ({"documents": 1, "chunks": 1}, True)
    monkeypatch.setattr(sys, "stdin", StringIO(""))
    for unanswered in (command("delete", notes / "code.py"), command("db", "drop", "default")):
        assert unanswered.code == 1
        assert "Pass --yes to skip it" in unanswered.err
    assert command("db", "collections", "--json").json[0]["chunks"] == 2


def test_nothing_is_cut_where_there_is_no_terminal(notes: Path, database_url: str) -> None:
    folder = notes / ("a long name " * 8).strip() / ("and another " * 8).strip()
    folder.mkdir(parents=True)
    (folder / "tea.md").write_text("Green tea takes two minutes.")
    (folder / "binary.txt").write_bytes(b"K\0\xffse")
    outside = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    outside["EMBEDPIPE_DATABASE_URL"] = database_url

    def run(*arguments: object, **environment: str) -> tuple[str, str]:
        command = [sys.executable, "-m", "embedpipe", *map(str, arguments)]
        ended = subprocess.run(command, env=outside | environment, capture_output=True, text=True, check=False)
        return ended.stdout, ended.stderr

    _, failed = run("ingest", folder)
    told = "is no text: it holds NUL bytes. Give it the suffix of its format, or leave it out."
    assert failed == f"not ingested: {folder / 'binary.txt'} {told}\n"
    assert run("ingest", folder, "--json")[1] == ""
    shown, _ = run("search", "tea")
    assert "tea.md [0:28]" in shown
    assert f"below {folder.resolve().as_posix()}/" in shown
    assert "all-MiniLM-L6-v2 (384)" in run("doctor")[0]
    narrow, _ = run("search", "tea", COLUMNS="40")
    assert max(map(len, narrow.splitlines())) <= 40
    assert "tea.md [0:28]" in narrow


def test_output_that_cannot_be_written_is_one_message(notes: Path, database_url: str) -> None:
    def run(*arguments: object, stdout: Any) -> tuple[int, str]:
        command = [sys.executable, "-m", "embedpipe", *map(str, arguments)]
        environment = os.environ | {"EMBEDPIPE_DATABASE_URL": database_url}
        ended = subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
        return ended.returncode, ended.stderr

    for arguments in (["models"], ["models", "--json"]):
        with Path("/dev/full").open("w") as full:
            ended = run(*arguments, stdout=full)
        assert ended == (1, "error: the output cannot be written: No space left on device.\n")
        reader, writer = os.pipe()
        os.close(reader)
        assert run(*arguments, stdout=writer) == (1, "")
        os.close(writer)


def test_a_model_that_is_not_to_be_had_is_not_recommended(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ended = command("search", "tea", "--model", "bge-small-en-v1.5")
    assert (ended.code, ended.err.count("bge-small-en-v1.5")) == (1, 1)
    assert "bge-base-en-v1.5" in ended.err


def test_dump_writes_a_file(command: Command, notes: Path, tmp_path: Path) -> None:
    command("ingest", notes)
    assert command("db", "dump", tmp_path / "copy.sql", "--json").json == {"written": str(tmp_path / "copy.sql")}
    assert "Neap tides" in (tmp_path / "copy.sql").read_text()


def test_export_writes_files(command: Command, notes: Path, tmp_path: Path) -> None:
    command("ingest", notes)
    report = command("export", tmp_path / "out", "--vectors", "int8", "--json").json
    assert report == {
        "collection": "default",
        "documents": 3,
        "chunks": 3,
        "vectors": "int8",
        "bytes": ANY,
        "folder": str(tmp_path / "out"),
    }
    assert sorted(each.name for each in load_export(tmp_path / "out").folder.iterdir()) == [
        "chunks.parquet",
        "collection.json",
        "documents.parquet",
    ]
    assert "3 chunks of default, vectors in float32" in command("export", tmp_path / "other").out
    again = command("export", tmp_path / "out")
    assert (again.code, "is there already" in again.err) == (1, True)


def test_what_langchain_stored_is_taken_over(command: Command, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE docs (langchain_id text PRIMARY KEY, content text, embedding vector(384))")
        )
        vector = f"[{','.join(['1'] * 384)}]"
        connection.execute(
            text("INSERT INTO docs VALUES ('a', 'tea', :vector), ('b', 'no vector', NULL)"), {"vector": vector}
        )
    arguments = ("import", "langchain-table", "docs", "--model", MODEL, "-c", "theirs", "--json")
    ended = command(*arguments)
    assert ended.code == 1
    assert json.loads(ended.out) == {"rows": 1, "failures": {"b": ANY}}
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM docs WHERE langchain_id = 'b'"))
    assert command(*arguments).json == {"rows": 1, "failures": {}}
    assert "1 row imported into theirs" in command(*arguments[:-1]).out
    assert "There is no table" in command("import", "llama-index", "docs", "--model", MODEL).err
    assert "There is no table" in command("import", "langchain", "docs", "--model", MODEL).err


def test_a_collection_changes_its_model(command: Command, database: Database) -> None:
    former = SemanticSearchService(FakeEmbeddingModel(), database=database)
    former.ingest(
        [Document(id="bees", text="A colony has one queen."), Document(id="moon", text="Tides rise at noon.")]
    )
    ended = command("reembed", MODEL, "--drop", "--json")
    assert ended.json == {"collection": "default", "model": ANY, "chunks": 2, "sets_dropped": 1}
    hits = command("search", "insects", "--mode", "dense", "-k", 1, "--json").json["results"]
    assert [hit["document_id"] for hit in hits] == ["bees"]
    again = command("reembed", MODEL)
    assert (again.code, "2 chunks of default now have the vectors" in again.out) == (0, True)
    missing = command("reembed", MODEL, "--collection", "nowhere")
    assert missing.code == 1
    assert "nowhere" in missing.err


def test_recency_is_named_by_key_half_life_and_weight(command: Command, notes: Path) -> None:
    command("ingest", notes)
    plain = command("search", "tides", "--json").json["results"]
    for recency in ("year", "year:10", "year:10:0.5"):
        found = command("search", "tides", "--recency", recency, "--json").json["results"]
        assert [(hit["id"], hit["score"]) for hit in found] == [(hit["id"], hit["score"]) for hit in plain]
    assert command("ask", "When do spring tides come?", "--recency", "year").code == 0
    for wrong in ("", ":10", "year:ten", "year:10:0.5:1"):
        refused = command("search", "tides", "--recency", wrong)
        assert (refused.code, "such as published:30:0.2" in " ".join(refused.err.split())) == (2, True)
    assert "weight" in command("search", "tides", "--recency", "year:10:7").err


def test_documents_are_stemmed_by_their_languages(command: Command, database: Database, tmp_path: Path) -> None:
    command("db", "migrate", "--collection", "made", "--model", MODEL, "--by-language")
    for name, content in {"de": "Sie wohnt in den Häusern der alten Stadt.", "en": "She lives in old houses."}.items():
        (tmp_path / f"{name}.txt").write_text(content, encoding="utf-8")
    for collection in ("made", "changed"):
        assert command("ingest", tmp_path, "--detect-language", "--collection", collection).code == 0
        chunks = PgVectorStore(database, collection=collection).find()
        assert {chunk.metadata["language"] for chunk in chunks} == {"de", "en"}
    ended = command("db", "upgrade", "--by-language", "--collection", "changed", "--json")
    assert ended.json == {"upgraded": ["changed"]}
    for collection in ("made", "changed"):
        found = PgVectorStore(database, collection=collection).search(text="Hauses", mode="lexical")
        assert [hit.metadata["language"] for hit in found] == ["de"]
    assert "Pass --collection" in command("db", "upgrade", "--by-language").err
    refused = command("db", "migrate", "--collection", "other", "--model", MODEL, "--by-language", "--no-lexical")
    assert (refused.code, "Pass one of the two" in refused.err) == (1, True)


def test_collections_are_upgraded(command: Command, database: Database) -> None:
    SemanticSearchService(FakeEmbeddingModel(), database=database).ingest([Document(id="a", text="The TCP/IP stack.")])
    PgVectorStore(database, collection="old", model=FakeEmbeddingModel().spec).create()
    PgVectorStore(database, collection="of tenants", model=FakeEmbeddingModel().spec, tenant="t").create()
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE embedpipe.collections SET segmentation = 1 WHERE name <> 'default'"))
    refused = command("db", "upgrade", "--collection", "of tenants")
    assert (refused.code, "is of tenants" in refused.err) == (1, True)
    ended = command("db", "upgrade", "--json")
    assert (ended.json, "is of tenants" in ended.err) == ({"upgraded": ["old"]}, True)
    assert command("db", "upgrade", "--json", "--collection", "default").json == {"upgraded": []}
    assert "nowhere" in command("db", "upgrade", "--collection", "nowhere").err


def test_evaluate(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    texts = {"d1": "Bees make honey.", "d2": "Tides follow the moon.", "d3": "Volcanoes erupt lava."}
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": k, "text": v}) + "\n" for k, v in texts.items()))
    questions = {"q1": "what do bees produce?", "q2": "why are there tides?"}
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": k, "text": v}) + "\n" for k, v in questions.items())
    )
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n")
    saved = tmp_path / "runs.json"
    found = command("evaluate", folder, "--save", saved, "--json").json
    assert [run["name"] for run in found["runs"]] == ["hybrid", "dense", "lexical"]
    assert {run["measures"]["nDCG@10"] for run in found["runs"]} == {1.0}
    grid = ("--chunker", "recursive:40", "--chunker", "sentence", "--mode", "dense", "--rerank", "lexical", "--json")
    tried = command("evaluate", folder, *grid).json
    assert [run["name"] for run in tried["runs"]] == [
        f"recursive:40, {MODEL}, dense",
        f"recursive:40, {MODEL}, dense, lexical",
        f"sentence, {MODEL}, dense",
        f"sentence, {MODEL}, dense, lexical",
    ]
    assert [run["settings"]["chunks"] for run in tried["runs"]] == [3, 3, 3, 3]
    refused = command("evaluate", folder, *grid, "--collection", "mine")
    assert (refused.code, "exclude each other" in refused.err) == (2, True)
    malformed = command("evaluate", folder, "--chunker", "recursive:1:x")
    assert (malformed.code, "NAME:SIZE:OVERLAP" in malformed.err) == (2, True)
    reranked = command("evaluate", folder, "--mode", "lexical", "--mode", "dense", "--rerank", "lexical", "--json").json
    assert [run["name"] for run in reranked["runs"]] == ["dense", "dense, lexical", "lexical", "lexical, lexical"]
    table = command("evaluate", folder, "--mode", "dense", "--against", saved, "--limit", 1).out
    assert "nDCG@10" in table
    assert "dense against dense before: +0.0000 nDCG@10" in table
    path = tmp_path / "mine.csv"
    path.write_text("query,document_id\nwhat do bees produce?,d1\n")
    measure = ("evaluate", path, "--collection", "evaluate mine", "--mode", "dense", "--json")
    measured = command(*measure)
    assert (measured.json["runs"][0]["measures"]["RR@10"], measured.err) == (1.0, "")
    path.write_text("query,document_id\nwhat do bees produce?,d1\nwhat do bees produce?,bees.md\n")
    warned = command(*measure)
    assert (warned.code, "1 of 2 labelled documents are not in 'evaluate mine', such as 'bees.md'" in warned.err) == (
        0,
        True,
    )


def test_demo_cites_what_is_there_and_embeds_nothing_twice(
    database_url: str, minilm: EmbeddingGenerator, capsys: pytest.CaptureFixture[str]
) -> None:
    service = SemanticSearchService(minilm, database=database_url, collection="demo")
    documents = [document for document in python_reference() if len(document.text) < 3_500]
    texts = {document.id: document.text for document in documents}
    assert {document.metadata["kind"] for document in documents} == {"statement", "reference"}
    run_demo(service, documents, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["ingest"]["added"] == len(documents) > 40
    assert found["ingest"]["chunks_embedded"] >= len(documents)
    for asked in found["questions"]:
        assert len(asked["hits"]) == 5
        for hit in asked["hits"]:
            assert texts[hit["document_id"]][hit["start_index"] : hit["end_index"]] == hit["text"]
        citations = [c for s in asked["answer"]["statements"] for c in s["citations"]]
        assert citations
        assert all(texts[c["document_id"]][c["start_index"] : c["end_index"]] == c["quote"] for c in citations)
    run_demo(service, documents, as_json=False)
    shown = capsys.readouterr().out
    assert "nothing was embedded again" in shown
    assert "✓ quoted" in shown
    service.close()


def test_help_comes_without_heavy_imports() -> None:
    code = (
        "import sys; sys.argv = ['embedpipe', '--help']\n"
        "from embedpipe.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('heavy:', sorted({'torch', 'openai', 'langchain_core', 'llama_index'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Commands" in ended.stdout
    assert ended.stdout.endswith("heavy: []\n")


def test_without_the_extra_the_message_names_it() -> None:
    code = "import sys; sys.modules['typer'] = None\nfrom embedpipe.cli import main\nmain()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install 'embedpipe[cli]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("interruptible")
def test_a_second_interrupt_ends_an_ingest_at_once(database_url: str, notes: Path) -> None:
    """The first one waits for what is at the model, which here would take a minute."""
    with EmbeddingServer(FakeEmbeddingModel(1536), latency_s=60) as server:
        provider = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any", "EMBEDPIPE_DATABASE_URL": database_url}
        command = [sys.executable, "-m", "embedpipe", "ingest", str(notes), "--model", "text-embedding-3-small"]
        with subprocess.Popen(command, env=os.environ | provider, stderr=subprocess.PIPE, text=True) as ingest:
            while not server.requests:
                time.sleep(0.01)
            ingest.send_signal(signal.SIGINT)
            assert ingest.stderr is not None
            assert "Ctrl-C again" in ingest.stderr.readline()
            ingest.send_signal(signal.SIGINT)
            assert ingest.wait(30) == -signal.SIGINT
    store = PgVectorStore(database_url, collection="default")
    assert store.count() == 0
    store.database.close()


def test_models_check_tries_rerankers_and_chat_models(command: Command) -> None:
    findings = command("models", "check", "--rerank", "lexical", "--json").json
    assert findings[0] == {"check": "order", "found": ANY, "is_good": True}
    with running() as chat:
        ended = command("models", "check", "--llm", "m", "--llm-url", chat.base_url)
    assert "WRONG answer" in ended.out  # the server quotes the first source
    assert ended.code == 1


def test_models_shows_one_model_with_its_prompts(command: Command) -> None:
    shown = command("models", "qwen3-embedding:0.6b")
    assert shown.code == 0, shown.err
    assert "'Instruct: Given a web search query" in shown.out
    assert command("models", "local:e5-small-v2", "--json").json["query_prompt"] == "query: "
    wrong = command("models", "nomic-embd")
    assert wrong.code == 1
    assert "nomic-embed-text-v1.5" in wrong.err
