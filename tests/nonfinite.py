"""What to know of a local model on ONNX Runtime that gives a vector with numbers that are not finite."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from embedpipe import EmbeddingGenerator, RecursiveChunker
from embedpipe.chunking import for_model
from embedpipe.embedding.local import LocalModel
from embedpipe.embedding.local.exported import exported_folder


def examined(generator: EmbeddingGenerator, text: str, chunker: RecursiveChunker) -> str:
    """Embed each chunk alone and again, here and by a model loaded anew, and look through the weights in the files."""
    model: Any = generator.model
    anew = LocalModel(str(model.folder))
    texts = [chunk.text for chunk in for_model(chunker, model).chunk(text)]
    said = [f"{len(texts)} texts, torch imported: {'torch' in sys.modules}, OMP {os.environ.get('OMP_NUM_THREADS')}"]
    for each, together in zip(texts, model.embed(texts, "document"), strict=True):
        vectors = [together, *(other.embed([each], "document")[0] for other in (model, model, anew))]
        bad = [int((~np.isfinite(vector)).sum()) for vector in vectors]
        if any(bad):
            said.append(
                f"not finite: {bad[0]} numbers together with others, {bad[1]} alone, {bad[2]} alone again, {bad[3]} by "
                f"a model loaded anew. Token ids {model.counter.ids([each])[0]} of {each!r}"
            )
    for file in sorted(exported_folder().rglob("*.data")):
        weights = np.fromfile(file, dtype=np.float32, count=file.stat().st_size // 4)
        said.append(f"{file}: {int((~np.isfinite(weights)).sum())} of {weights.size} numbers are not finite")
    return "\n".join(said)
