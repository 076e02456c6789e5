"""The provider "local": models that run on this machine, by PyTorch, ONNX Runtime or OpenVINO."""

from embedpipe.embedding.local.model import LocalModel
from embedpipe.embedding.local.model_files import is_model_folder

__all__ = ["LocalModel", "is_model_folder"]
