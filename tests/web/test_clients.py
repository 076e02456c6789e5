"""The npm clients of OpenAI and LangChain.js against the server, as they come."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embedpipe import EmbeddingGenerator
from embedpipe.server import ApiKeys

KEY = "a-key-for-the-tests-of-clients"
MODEL = "all-MiniLM-L6-v2"


def test_the_clients_get_the_models_vectors(url: Callable[..., str], minilm: EmbeddingGenerator) -> None:
    texts = ["green tea", "Käse 🧀", "line\nbreak"]
    asked = {"url": url(keys=ApiKeys.of([KEY])), "key": KEY, "model": MODEL, "texts": texts}
    script = Path(__file__).parent / "clients.js"
    ended = subprocess.run(
        ["node", script, json.dumps(asked)], capture_output=True, text=True, check=False, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    given = json.loads(ended.stdout)
    expected = minilm.generate_batch(texts)
    np.testing.assert_allclose(given["openai"], expected.vectors, atol=1e-5)
    np.testing.assert_allclose(given["float"], expected.vectors[0], atol=1e-5)
    np.testing.assert_allclose(given["query"], expected.vectors[0], atol=1e-5)
    plain = minilm.generate_batch(["green tea", "Käse 🧀", "line break"]).vectors  # LangChain.js takes line breaks out
    np.testing.assert_allclose(given["documents"], plain, atol=1e-5)
    assert given["usage"]["total_tokens"] == expected.token_counts.sum()
    assert MODEL in given["models"]
    assert (given["wrong_key"], given["wrong_model"], given["empty"]) == (401, 404, 400)
