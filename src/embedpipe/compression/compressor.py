"""Fewer dimensions: principal components of a sample, or the first dimensions of a Matryoshka model."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedpipe.compression._arrays import checked, normalized
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.types import Vectors

_FORMAT = 1


def checked_dimensions(dimensions: int) -> int:
    """The number itself; `ConfigurationError` where vectors cannot have so many dimensions."""
    if type(dimensions) is not int or dimensions < 1:
        raise ConfigurationError(f"dimensions expected a whole number from 1 on, got {dimensions!r}.")
    return dimensions


class EmbeddingCompressor:
    """Turns vectors of d dimensions into `dimensions` principal components of a sample, at length 1.

    `fit` takes the sample at once, `partial_fit` batch by batch, with the same result: what is kept between the batches
    is the sample's mean and covariance, d * d numbers. The sample's mean is taken off first, as always with principal
    components (Jolliffe 2002). Vectors of other origin than the sample may lose more than `variance_kept` says.
    """

    def __init__(self, dimensions: int = 256) -> None:
        self.dimensions = checked_dimensions(dimensions)
        self._count = 0
        self._sum: npt.NDArray[np.float64] = np.zeros(0)
        self._products: npt.NDArray[np.float64] = np.zeros((0, 0))
        self._mean: Vectors | None = None
        self._components: Vectors | None = None
        self._variance_kept = 0.0

    def __repr__(self) -> str:
        source = "not fitted" if self._components is None else f"of {self._components.shape[1]}"
        return f"EmbeddingCompressor({self.dimensions} {source})"

    @property
    def variance_kept(self) -> float:
        """The share of the sample's variance that the kept components hold, from 0 to 1."""
        self._fitted()
        return self._variance_kept

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits: compressed vectors are comparable where these are the same."""
        mean, components = self._fitted()
        return hashlib.sha256(mean.tobytes() + components.tobytes()).hexdigest()[:32]

    def fit(self, vectors: npt.ArrayLike) -> EmbeddingCompressor:
        """The compressor, fitted to this sample (n, d) alone.

        Raises `InputError` for fewer vectors than `dimensions`, for vectors of fewer, and for ones that are all equal.
        """
        self._count, self._mean, self._components = 0, None, None
        return self.partial_fit(vectors)

    def partial_fit(self, vectors: npt.ArrayLike) -> EmbeddingCompressor:
        """The compressor, fitted to this batch (n, d) and those before. Raises as `fit`, over all batches together."""
        if self._components is not None and not self._count:
            raise InputError("A compressor that was loaded has no sample to add to. Call fit() on a new one.")
        unit = normalized(checked(vectors, len(self._sum) if self._count else None)).astype(np.float64)
        if not self._count:
            self._sum, self._products = np.zeros(unit.shape[1]), np.zeros((unit.shape[1], unit.shape[1]))
        if unit.shape[1] < self.dimensions:
            raise InputError(f"{self.dimensions} dimensions cannot be kept of vectors with {unit.shape[1]}.")
        self._count += len(unit)
        self._sum = self._sum + unit.sum(axis=0)
        self._products = self._products + unit.T @ unit
        self._mean = self._components = None
        return self

    def compress(self, vectors: npt.ArrayLike) -> Vectors:
        """(n, dimensions) float32 unit rows. Raises `InputError` before `fit` and for vectors of other dimensions."""
        mean, components = self._fitted()
        unit = normalized(checked(vectors, components.shape[1]))
        return normalized(((unit - mean) @ components.T).astype(np.float32, copy=False))

    def save(self, path: Path | str) -> None:
        """Writes what `load` reads: arrays, nothing that runs."""
        mean, components = self._fitted()
        with Path(path).open("wb") as file:
            np.savez(file, format=_FORMAT, mean=mean, components=components, variance_kept=self._variance_kept)

    @classmethod
    def load(cls, path: Path | str) -> EmbeddingCompressor:
        """The compressor that was saved. Raises `InputError` for a file that is none."""
        try:
            with np.load(path, allow_pickle=False) as saved:
                if int(saved["format"]) != _FORMAT:
                    raise InputError(f"{path} has the format {int(saved['format'])}, this version reads {_FORMAT}.")
                mean, components = checked(saved["mean"][None])[0], checked(saved["components"])
                variance_kept = float(saved["variance_kept"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} holds no saved compressor: {error}.") from error
        if components.shape[1] != len(mean):
            raise InputError(f"{path} holds no saved compressor: its arrays do not fit together.")
        loaded = cls(len(components))
        loaded._mean, loaded._components, loaded._variance_kept = mean, components, variance_kept
        return loaded

    def _fitted(self) -> tuple[Vectors, Vectors]:
        """The sample's mean (d,) and the components (dimensions, d)."""
        if self._mean is None or self._components is None:
            self._solve()
        assert self._mean is not None  # noqa: S101 - it was just solved
        assert self._components is not None  # noqa: S101 - as above
        return self._mean, self._components

    def _solve(self) -> None:
        if self._count < max(self.dimensions, 2):
            raise InputError(
                f"{self.dimensions} components need a sample of at least {max(self.dimensions, 2)} vectors, got "
                f"{self._count}. Call fit() with more; a few thousand are enough."
            )
        mean = self._sum / self._count
        covariance = self._products / self._count - np.outer(mean, mean)
        variances, components = np.linalg.eigh(covariance)
        variances = np.clip(variances[::-1], 0, None)
        if variances[0] < 1e-12:
            raise InputError("The vectors of the sample are all equal, so that no direction tells them apart.")
        kept = components.T[::-1][: self.dimensions]
        kept = kept * np.sign(kept[np.arange(len(kept)), np.abs(kept).argmax(axis=1)])[:, None]  # the same everywhere
        self._mean = mean.astype(np.float32)
        self._components = np.ascontiguousarray(kept, dtype=np.float32)
        self._variance_kept = float(variances[: self.dimensions].sum() / variances.sum())


@dataclass(frozen=True, slots=True)
class Truncation:
    """`truncate` to so many dimensions, as the `compressor=` of an `EmbeddingGenerator`."""

    dimensions: int

    def __post_init__(self) -> None:
        checked_dimensions(self.dimensions)

    @property
    def fingerprint(self) -> str:
        """Names the way and the dimensions."""
        return f"first {self.dimensions}"

    def compress(self, vectors: npt.ArrayLike) -> Vectors:
        """(n, dimensions) float32 unit rows. Raises `InputError` for vectors of fewer dimensions."""
        return truncate(vectors, self.dimensions)


def truncate(vectors: npt.ArrayLike, dimensions: int) -> Vectors:
    """(n, dimensions) float32 unit rows: the first dimensions of each vector.

    For models trained so that these carry most (Kusupati et al. 2022, "Matryoshka Representation Learning"), such as
    text-embedding-3; of others it drops as much as it keeps. Raises `InputError` for more dimensions than there are.
    """
    array = checked(vectors)
    if not 1 <= dimensions <= array.shape[1]:
        raise InputError(f"dimensions expected 1 to {array.shape[1]}, got {dimensions}.")
    return normalized(array[:, :dimensions])
