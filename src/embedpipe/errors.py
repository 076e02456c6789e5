"""Every error that embedpipe raises on purpose.

Each message says what was expected, what came and what to do. All of them pickle, so that they travel between
processes with their attributes.

    EmbedPipeError
    ├── ConfigurationError (ValueError)        a setting that cannot work
    │   ├── MissingExtraError (ImportError)    an optional dependency is not installed
    │   ├── UnknownModelError                  no model of that name can be found
    │   └── UnknownOptionError (TypeError)     a component has no option of that name
    ├── InputError (ValueError)                a text, id, metadata value or filter that cannot be taken
    ├── EmbeddingError                         texts could not be embedded
    │   ├── TokenLimitError (ValueError)       a text is longer than the model takes
    │   ├── AuthenticationError                the provider refused the key
    │   ├── RateLimitError                     the provider's rate limit held for longer than the deadline
    │   ├── ProviderError                      the provider failed or refused the request
    │   └── InvalidVectorsError                what came back is not one finite vector for each text
    ├── StorageError                           the database could not do what was asked
    │   ├── DatabaseUnavailableError           no connection
    │   ├── DatabaseReadOnlyError              the database takes no writes: a standby, or set so
    │   ├── DatabaseFullError                  the database's disk is full
    │   ├── LockTimeoutError                   others hold what the operation needs
    │   ├── UnknownCommitError                 no answer to COMMIT: written or not
    │   ├── EmbeddedServerError                the embedded PostgreSQL does not start
    │   ├── SchemaError                        extension, privilege or migration missing
    │   ├── CollectionNotFoundError            no collection of that name
    │   └── ModelMismatchError (ValueError)    vectors of another model or dimension
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
    """Base of every error of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(EmbedPipeError, ValueError):
    """A setting that cannot work."""


class MissingExtraError(ConfigurationError, ImportError):
    """An optional dependency is not installed; the message names the pip command."""


class UnknownModelError(ConfigurationError):
    """No embedding model of that name can be found."""


class UnknownOptionError(ConfigurationError, TypeError):
    """A component has no option of that name; also a `TypeError`, as for any misspelt argument."""


def unknown_option(owner: str, name: str, known: Iterable[str]) -> UnknownOptionError:
    """Return the error for an option that `owner` does not have, with the nearest one and all that there are."""
    listed = sorted(known)
    near = difflib.get_close_matches(name, listed, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownOptionError(f"{owner} has no option {name!r}.{hint} It takes: {', '.join(listed)}.")


class InputError(EmbedPipeError, ValueError):
    """A text, id, metadata value or filter that cannot be taken."""


class EmbeddingError(EmbedPipeError):
    """Texts could not be embedded.

    `inputs` holds the positions of the texts that failed, in the caller's order; empty where all of them did.
    """

    def __init__(self, message: str, *, inputs: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.inputs = tuple(inputs)


class TokenLimitError(EmbeddingError, ValueError):
    """A text is longer than the model takes; `token_counts` goes with `inputs`."""

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
    """The provider refused the key."""


class RateLimitError(EmbeddingError):
    """The provider's rate limit held; `retry_after` is in seconds, None where the provider did not say."""

    def __init__(self, message: str, *, inputs: Sequence[int] = (), retry_after: float | None = None) -> None:
        super().__init__(message, inputs=inputs)
        self.retry_after = retry_after


class ProviderError(EmbeddingError):
    """The provider failed or refused the request; `status` is the HTTP status, None where no reply came."""

    def __init__(self, message: str, *, inputs: Sequence[int] = (), status: int | None = None) -> None:
        super().__init__(message, inputs=inputs)
        self.status = status


class InvalidVectorsError(EmbeddingError):
    """What came back is not one finite vector of the model's dimension for each text."""


class StorageError(EmbedPipeError):
    """The database could not do what was asked; nothing of it was written, `UnknownCommitError` excepted."""


class DatabaseUnavailableError(StorageError):
    """No connection to the database."""


class DatabaseReadOnlyError(StorageError):
    """The database takes no writes: it is a standby, or is set to be read alone."""


class DatabaseFullError(StorageError):
    """The database's disk is full."""


class LockTimeoutError(StorageError):
    """Others held a lock that the operation needs for longer than it waits."""


class UnknownCommitError(StorageError):
    """The connection was lost while a transaction was being committed: all of it was written, or nothing.

    The same call is safe to repeat, except for chunks without ids: it would give them other ones.
    """


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL does not start."""


class SchemaError(StorageError):
    """An extension, a privilege or a migration is missing."""


class CollectionNotFoundError(StorageError):
    """No collection of that name."""


class ModelMismatchError(StorageError, ValueError):
    """Vectors of another model or dimension than the collection's."""


class RerankError(EmbedPipeError):
    """A reranker failed."""


class GenerationError(EmbedPipeError):
    """A language model failed."""
