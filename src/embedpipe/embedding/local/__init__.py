"""The provider "local": models that run on this machine, by PyTorch, ONNX Runtime or OpenVINO."""

from embedpipe.embedding.local.model import LocalModel

__all__ = ["LocalModel"]
