"""Fewer dimensions: principal components of a sample, or the first dimensions of a Matryoshka model."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedpipe._checks import check_fields, checked_count, shown
from embedpipe.compression._arrays import checked, normalized
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.types import Vectors

_FORMAT = 1


def checked_dimensions(dimensions: int) -> int:
    """Return the number itself.

    Raises:
        ConfigurationError: If vectors cannot have so many dimensions.
    """
    return checked_count("dimensions", dimensions, error=ConfigurationError)


class EmbeddingCompressor:
    """Turns vectors of d dimensions into `dimensions` principal components of a sample, at length 1.

    `fit` takes the sample at once, `partial_fit` batch by batch, with the same result. Only the sample's mean and
    covariance (d * d numbers) are kept between the batches. The mean is subtracted first, as always with principal
    components (Jolliffe 2002). Vectors that are unlike the sample may lose more than `variance_kept` says.

    Args:
        dimensions: The dimensions of the compressed vectors.

    Raises:
        ConfigurationError: If `dimensions` is not a whole number from 1 on.
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
        """32 hexadecimal digits. Only vectors with the same fingerprint can be compared."""
        mean, components = self._fitted()
        return hashlib.sha256(mean.tobytes() + components.tobytes()).hexdigest()[:32]

    def fit(self, vectors: npt.ArrayLike) -> EmbeddingCompressor:
        """Fit the compressor to this sample (n, d) alone, and return it.

        A few thousand vectors are enough.

        Raises:
            InputError: If the vectors have fewer than `dimensions` dimensions. `compress` raises it if there are fewer
                vectors than that, or if they are all equal.
        """
        self._count, self._mean, self._components = 0, None, None
        return self.partial_fit(vectors)

    def partial_fit(self, vectors: npt.ArrayLike) -> EmbeddingCompressor:
        """Fit the compressor to this batch (n, d) and to those before, and return it. See `fit`."""
        if self._components is not None and not self._count:
            raise InputError("A compressor that was loaded has no sample to add to. Call fit() on a new one.")
        unit = normalized(checked(vectors, len(self._sum) if self._count else None)).astype(np.float64)
        if not self._count:
            self._sum, self._products = np.zeros(unit.shape[1]), np.zeros((unit.shape[1], unit.shape[1]))
        if unit.shape[1] < self.dimensions:
            raise InputError(
                f"The vectors have {unit.shape[1]} dimensions, fewer than the {self.dimensions} to keep. Keep fewer."
            )
        self._count += len(unit)
        self._sum = self._sum + unit.sum(axis=0)
        self._products = self._products + unit.T @ unit
        self._mean = self._components = None
        return self

    def compress(self, vectors: npt.ArrayLike) -> Vectors:
        """Return (n, dimensions) float32 rows of length 1.

        Raises:
            InputError: If there was no `fit`, or if the vectors have other dimensions than the sample.
        """
        mean, components = self._fitted()
        unit = normalized(checked(vectors, components.shape[1]))
        return normalized(((unit - mean) @ components.T).astype(np.float32, copy=False))

    def save(self, path: Path | str) -> None:
        """Write a file for `load`. It holds arrays only, and no code.

        Raises:
            InputError: If there was no `fit`, or if the file cannot be written.
        """
        mean, components = self._fitted()
        try:
            with Path(path).open("wb") as file:
                np.savez(file, format=_FORMAT, mean=mean, components=components, variance_kept=self._variance_kept)
        except (OSError, TypeError, ValueError) as error:
            raise InputError(f"path={shown(path)} cannot be written: {error}. Pass another file.") from error

    @classmethod
    def load(cls, path: Path | str) -> EmbeddingCompressor:
        """Return the compressor that `save` wrote.

        Raises:
            InputError: If the file holds none.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                if int(saved["format"]) != _FORMAT:
                    raise InputError(
                        f"{path} has the format {int(saved['format'])}, and this version reads {_FORMAT}. Save it anew."
                    )
                mean, components = checked(saved["mean"][None])[0], checked(saved["components"])
                variance_kept = float(saved["variance_kept"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{shown(path)} holds no saved compressor: {error}. Pass a file that save() wrote."
            ) from error
        if components.shape[1] != len(mean):
            raise InputError(
                f"{path} holds no saved compressor: its arrays do not fit together. Pass a file that save() wrote."
            )
        loaded = cls(len(components))
        loaded._mean, loaded._components, loaded._variance_kept = mean, components, variance_kept
        return loaded

    def _fitted(self) -> tuple[Vectors, Vectors]:
        """Return the sample's mean (d,) and the components (dimensions, d)."""
        if self._mean is None or self._components is None:
            self._solve()
        assert self._mean is not None  # noqa: S101 - it was just solved
        assert self._components is not None  # noqa: S101 - as above
        return self._mean, self._components

    def _solve(self) -> None:
        """Find the components from the mean and the covariance."""
        if self._count < max(self.dimensions, 2):
            raise InputError(
                f"{self.dimensions} components need a sample of at least {max(self.dimensions, 2)} vectors, and "
                f"there are {self._count}. Call fit() with more. A few thousand are enough."
            )
        mean = self._sum / self._count
        # E[x x^T] - E[x] E[x]^T, in float64: a difference of numbers that are nearly equal.
        covariance = self._products / self._count - np.outer(mean, mean)
        variances, components = np.linalg.eigh(covariance)
        variances = np.clip(variances[::-1], 0, None)
        if variances[0] < 1e-12:
            raise InputError("The vectors of the sample are all equal. Call fit() with different ones.")
        kept = components.T[::-1][: self.dimensions]
        # An eigenvector may have either sign. With its largest number positive, it is the same on every machine.
        kept = kept * np.sign(kept[np.arange(len(kept)), np.abs(kept).argmax(axis=1)])[:, None]
        self._mean = mean.astype(np.float32)
        self._components = np.ascontiguousarray(kept, dtype=np.float32)
        self._variance_kept = float(variances[: self.dimensions].sum() / variances.sum())


@dataclass(frozen=True, slots=True)
class Truncation:
    """`truncate` to `dimensions`, as the `compressor=` of an `EmbeddingGenerator`."""

    dimensions: int

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def fingerprint(self) -> str:
        """The method and the dimensions. Only vectors with the same fingerprint can be compared."""
        return f"first {self.dimensions}"

    def compress(self, vectors: npt.ArrayLike) -> Vectors:
        """Return (n, dimensions) float32 rows of length 1, as `truncate`."""
        return truncate(vectors, self.dimensions)


def truncate(vectors: npt.ArrayLike, dimensions: int) -> Vectors:
    """Return the first dimensions of each vector, at length 1.

    This is for models that were trained so that the first dimensions carry most (Kusupati et al. 2022, "Matryoshka
    Representation Learning"), such as text-embedding-3. With other models, the dropped dimensions carry
    as much as the kept ones.

    Args:
        vectors: (n, d) numbers.
        dimensions: How many to keep.

    Returns:
        (n, dimensions) float32.

    Raises:
        InputError: If there are fewer dimensions, or if the vectors are not an array of finite numbers.
    """
    array = checked(vectors)
    return normalized(array[:, : checked_count("dimensions", dimensions, most=array.shape[1])])
