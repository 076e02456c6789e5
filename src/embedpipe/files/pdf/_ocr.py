"""Read the text of a page's image by RapidOCR (the extra `ocr`). It carries its models and fetches nothing."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from embedpipe._optional import require

_SCALE = 150 / 72
"""Dots per point: 150 dots per inch. At 200, a page takes over a gigabyte of memory, and reads no better."""
_PIXELS = 4_000_000
"""The most pixels of an image. A larger page is read at fewer dots per inch."""


@cache
def engine() -> Any:
    """Return the OCR engine, loaded once.

    Raises:
        MissingExtraError: If it is not installed.
    """
    rapidocr = require("rapidocr", extra="ocr")
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "Rec.rec_batch_num": 1,  # lines at a time: more take more memory and not less time
            "EngineConfig.onnxruntime.intra_op_num_threads": 2,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": False,  # it would keep all memory that a page took
        }
    )


def recognized(page: Any) -> str:
    """Return the text that a page shows, line by line.

    Raises:
        MemoryError: If it takes more memory than the process may have.
    """
    width, height = page.get_size()
    scale = min(_SCALE, math.sqrt(_PIXELS / max(1.0, width * height)))
    try:
        found = engine()(page.render(scale=scale).to_numpy())
    except Exception as error:
        if "bad_alloc" in str(error):
            raise MemoryError from error
        raise
    lines: list[str] = []
    bottom = -1.0
    for words, box in zip(found.txts or (), found.boxes if found.txts else (), strict=True):
        top, low = float(box[:, 1].min()), float(box[:, 1].max())
        if lines and (top + low) / 2 < bottom:  # beside the words before, in another column or behind a gap
            lines[-1] += f" {words}"
        else:
            lines.append(words)
            bottom = low
    return "\n".join(lines)
