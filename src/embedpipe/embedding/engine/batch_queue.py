"""Which batches of a call are still to be sent, and what follows from a batch that failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from embedpipe.embedding.engine.request import EmbeddingRequest
from embedpipe.embedding.engine.text_batch import ItemLimit, RefusedBatch, TextBatch
from embedpipe.embedding.vectors import WrongDimensionError
from embedpipe.errors import AuthenticationError, EmbeddingError, InvalidVectorsError, ProviderError

_REFUSED_STATUSES = frozenset({400, 413, 422, 424})
_SERVER_ERROR = 500
_MAX_REFUSED = 3
"""Single texts that may be refused in a row before the provider is in doubt."""
_MAX_IN_VAIN = 4
"""Batches sent once that may fail in a row, beyond one for each halving: so many fail if the first text is bad."""


class BatchQueue:
    """The batches of one call that are still to be sent. It does no I/O.

    A batch that was refused, or that has no good vector for a text, is halved until the bad text stands alone. If
    several texts or parts fail in a row, the provider is in doubt: one text that has succeeded is sent again (the
    probe), as often as the policy allows, and nothing else meanwhile. If the probe fails too, or if no text has
    succeeded so far, the texts are not at fault, and nothing more is sent. Nothing more is sent either after a refused
    key, a redirect to another origin, or vectors of another dimension than the model's.
    """

    def __init__(self, request: EmbeddingRequest, batches: Iterable[TextBatch], item_limit: ItemLimit) -> None:
        self.request = request
        self._item_limit = item_limit
        self.ended: EmbeddingError | None = None
        """The error after which nothing more is sent."""
        self.is_single = isinstance(batches, list) and len(batches) == 1
        """Whether one batch has all texts."""
        self._planned = iter(batches)
        self._waiting: deque[TextBatch] = deque()
        self._refused = self._in_vain = 0  # since a text last succeeded
        self._largest = 0
        self._answered: TextBatch | None = None  # what last succeeded, in part at least
        self._probe: TextBatch | None = None
        self._in_doubt = False

    @property
    def has_waiting(self) -> bool:
        """Whether `take` returns at once, without counting tokens."""
        return bool(self._waiting)

    def take(self) -> TextBatch | None:
        """Return the next batch to send; None if there is none, or none before a batch under way has come back."""
        if self._in_doubt:
            probe, self._probe = self._probe, None
            return probe
        batch = self._waiting.popleft() if self._waiting else next(self._planned, None)
        most = self._item_limit.most
        while batch is not None and most is not None and batch.can_halve and len(batch.indices) > most:
            batch, rest = batch.halves(once=batch.once)
            self._waiting.appendleft(rest)
        return batch

    def prepare(self, most: int) -> bool:
        """Plan one more batch if fewer than `most` are waiting, and return whether there was one."""
        batch = next(self._planned, None) if len(self._waiting) < most else None
        if batch is not None:
            self._waiting.append(batch)
        return batch is not None

    def settle(self, batch: TextBatch) -> None:
        """Decide what follows from a batch that has come back: nothing, two halves, a probe, or the end of the call."""
        self.request.requests += batch.attempts
        self.request.retries += max(batch.attempts - 1, 0)
        if batch.is_answered:  # count failures in a row from zero again
            self._answered = batch
            self._refused = self._in_vain = 0
            self._in_doubt, self._probe = False, None
        error = batch.error
        if error is None:
            self._learn(batch)
            return
        if batch.probe:
            if self._in_doubt:  # else another batch has succeeded meanwhile
                self._end(error)
            return
        missing = batch.missing
        may_halve = concerns_texts(error) and batch.can_halve and len(missing.indices) > 1
        self._refused += concerns_texts(error) and not may_halve
        self._in_vain += batch.once
        # One bad text at the beginning of a batch of n makes log2(n) halves fail in a row before another succeeds.
        self._largest = max(self._largest, len(batch.indices))
        doubtful = self._refused >= _MAX_REFUSED or self._in_vain >= self._largest.bit_length() + _MAX_IN_VAIN
        # Texts that follow a success may all be bad, or the provider may have died: only a known text tells.
        if doubtful and self._answered and not self._in_doubt and not self.ended:
            self._in_doubt, known = True, self._answered.answered
            self._probe = TextBatch(known.indices[:1], known.texts[:1], known.token_counts[:1], probe=True)
        hopeless = doubtful and not self._answered
        if may_halve and not hopeless and not self.ended:
            # A refusal is never retried, so each half has all its attempts. What failed otherwise had them.
            halves = missing.halves(once=not _is_refusal(error))
            if _is_refusal(error):
                halves[0].half_of = halves[1].half_of = RefusedBatch()
            self._waiting.extendleft(reversed(halves))
            return
        self.request.fail(missing.indices, error)
        if hopeless or ends_call(error):
            self._end(error)

    def _learn(self, batch: TextBatch) -> None:
        """Lower the number of texts in a request if both halves of a refused batch were answered: it was too large."""
        if batch.half_of is None:
            return
        batch.half_of.answered_halves += 1
        if batch.half_of.answered_halves == 2:
            self._item_limit.most = min(len(batch.indices), self._item_limit.most or len(batch.indices))

    def _end(self, error: EmbeddingError) -> None:
        """Give up what is not sent yet."""
        self.ended = error
        self._in_doubt = False
        while (following := self.take()) is not None:
            self.request.fail(following.indices, error)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, ProviderError) and error.status in _REFUSED_STATUSES


def concerns_texts(error: Exception) -> bool:
    """Return whether one text may be why the whole request failed.

    It may be with status 500, and with an error of a local model or of a framework: those say no more than that.
    """
    server_error = isinstance(error, ProviderError) and error.status == _SERVER_ERROR
    invalid = isinstance(error, InvalidVectorsError) and not isinstance(error, WrongDimensionError)
    return _is_refusal(error) or server_error or invalid or type(error) is EmbeddingError


def ends_call(error: EmbeddingError) -> bool:
    """Return whether every other request would fail in the same way: a refused key, a redirect, another dimension."""
    redirected = isinstance(error, ProviderError) and error.status is not None and 300 <= error.status < 400
    return isinstance(error, AuthenticationError | WrongDimensionError) or redirected
