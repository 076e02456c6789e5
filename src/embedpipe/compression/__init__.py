"""Make vectors smaller, by fewer dimensions or fewer bits for each, and measure the loss."""

from embedpipe.compression.comparison import CompressionReport, compare
from embedpipe.compression.compressor import EmbeddingCompressor, Truncation, truncate
from embedpipe.compression.quantization import BinaryQuantizer, Int8Quantizer

__all__ = [
    "BinaryQuantizer",
    "CompressionReport",
    "EmbeddingCompressor",
    "Int8Quantizer",
    "Truncation",
    "compare",
    "truncate",
]
