"""The errors of embedpipe.

Each message says what is wrong and what to do. All errors can be pickled with their attributes, so they pass from
one process to another.

    EmbedPipeError
    ├── ConfigurationError (ValueError)        a setting or a combination of settings is wrong
    │   ├── MissingExtraError (ImportError)    an optional dependency is not installed
    │   ├── UnknownModelError                  there is no embedding model with this name
    │   └── UnknownOptionError (TypeError)     a component has no option with this name
    ├── InputError (ValueError)                a text, id, metadata value or filter is not valid
    ├── EmbeddingError                         texts could not be embedded
    │   ├── TokenLimitError (ValueError)       a text is too long for the model
    │   ├── AuthenticationError                the provider refused the API key
    │   ├── RateLimitError                     the provider's rate limit lasted longer than the retries
    │   ├── ProviderError                      the provider failed or refused the request
    │   └── InvalidVectorsError                the model did not return one finite vector per text
    ├── StorageError                           a database operation failed
    │   ├── DatabaseUnavailableError           the database cannot be reached
    │   ├── DatabaseReadOnlyError              the database is read-only: a standby, or by its settings
    │   ├── DatabaseFullError                  the database's disk is full
    │   ├── LockTimeoutError                   another operation holds a lock that this one needs
    │   ├── UnknownCommitError                 the connection broke during COMMIT: written or not
    │   ├── EmbeddedServerError                the embedded PostgreSQL does not start
    │   ├── SchemaError                        an extension, a privilege or a migration is missing
    │   ├── CollectionNotFoundError            there is no collection with this name
    │   └── ModelMismatchError (ValueError)    the vectors are of another model or dimension
    ├── RerankError                            a reranker failed
    └── GenerationError                        a language model failed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


def _rebuild(cls: type[EmbedPipeError], args: tuple[Any, ...], state: dict[str, Any]) -> EmbedPipeError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class EmbedPipeError(Exception):
    """The base class of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(EmbedPipeError, ValueError):
    """A setting, or a combination of settings, is wrong."""


class MissingExtraError(ConfigurationError, ImportError):
    """An optional dependency is not installed. The message has the pip command."""


class UnknownModelError(ConfigurationError):
    """There is no embedding model with this name."""


class UnknownOptionError(ConfigurationError, TypeError):
    """A component has no option with this name. Also a `TypeError`, like any misspelt argument."""


def unknown_option(owner: str, name: str, known: Iterable[str]) -> UnknownOptionError:
    """Return the error for an option that `owner` does not have. It suggests the nearest name and lists all names."""
    listed = sorted(known)
    near = difflib.get_close_matches(name, listed, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownOptionError(f"{owner} has no option {name!r}.{hint} It takes: {', '.join(listed)}.")


class InputError(EmbedPipeError, ValueError):
    """A text, id, metadata value or filter is not valid."""


class EmbeddingError(EmbedPipeError):
    """Texts could not be embedded.

    Attributes:
        inputs: The positions of the texts that failed, in the caller's order. Empty if all failed.
    """

    def __init__(self, message: str, *, inputs: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.inputs = tuple(inputs)


class TokenLimitError(EmbeddingError, ValueError):
    """A text is too long for the model.

    Attributes:
        token_counts: The number of tokens of each text in `inputs`.
        max_tokens: The model's limit, None if it is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        inputs: Sequence[int] = (),
        token_counts: Sequence[int] = (),
        max_tokens: int | None = None,
    ) -> None:
        super().__init__(message, inputs=inputs)
        self.token_counts = tuple(token_counts)
        self.max_tokens = max_tokens


class AuthenticationError(EmbeddingError):
    """The provider refused the API key."""


class RateLimitError(EmbeddingError):
    """The provider's rate limit lasted longer than the retries.

    Attributes:
        retry_after: Seconds to wait, None if the provider did not say.
    """

    def __init__(self, message: str, *, inputs: Sequence[int] = (), retry_after: float | None = None) -> None:
        super().__init__(message, inputs=inputs)
        self.retry_after = retry_after


class ProviderError(EmbeddingError):
    """The provider failed or refused the request.

    Attributes:
        status: The HTTP status, None if there was no reply.
    """

    def __init__(self, message: str, *, inputs: Sequence[int] = (), status: int | None = None) -> None:
        super().__init__(message, inputs=inputs)
        self.status = status


class InvalidVectorsError(EmbeddingError):
    """The model did not return one finite vector of its dimension for each text."""


class StorageError(EmbedPipeError):
    """A database operation failed. Nothing was written, except perhaps with `UnknownCommitError`."""


class DatabaseUnavailableError(StorageError):
    """The database cannot be reached."""


class DatabaseReadOnlyError(StorageError):
    """The database is read-only: it is a standby, or its settings say so."""


class DatabaseFullError(StorageError):
    """The database's disk is full."""


class LockTimeoutError(StorageError):
    """Another operation held a needed lock for longer than this one waits."""


class UnknownCommitError(StorageError):
    """The connection broke during a commit. Either the whole transaction is written, or nothing.

    The same call is safe to repeat, except for chunks without ids: they would get new ids and be stored twice.
    """


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL does not start."""


class SchemaError(StorageError):
    """An extension, a privilege or a migration is missing."""


class CollectionNotFoundError(StorageError):
    """There is no collection with this name."""


class ModelMismatchError(StorageError, ValueError):
    """The vectors are of another model or dimension than those of the collection."""


class RerankError(EmbedPipeError):
    """A reranker failed.

    Attributes:
        status: The HTTP status of a service's refusal. None for any other failure.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class GenerationError(EmbedPipeError):
    """A language model failed.

    Attributes:
        status: The HTTP status of a service's refusal. None for any other failure.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
