"""The settings of an ingest."""

from __future__ import annotations

from dataclasses import dataclass, replace

from embedpipe._checks import check_fields
from embedpipe.chunking import for_model
from embedpipe.embedding import check_late_chunking
from embedpipe.errors import ConfigurationError
from embedpipe.ingest.contextual_header import ContextualHeader
from embedpipe.ingest.headers import HEADER_TOKENS
from embedpipe.types import Chunker, EmbeddingModel


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """How documents are cut, embedded and stored.

    Args:
        chunker: Cuts a document into chunks. None makes each document one chunk.
        headers: Whether the document's title and the chunk's headings are embedded and indexed before its text. The
            text that is stored stays as it is.
        context: Writes a header for each chunk by a chat model. None for none.
        late_chunking: Whether the model embeds the chunks of a document together, each in its context. Headers are then
            indexed and not embedded.
        clean_text: Whether each chunk's text is cleaned. Its offsets still point into the text that was given.
        batch_documents: How many documents a batch holds at most.
        batch_characters: A batch ends with the document that brings it to this many characters.
        concurrency: How many batches are under way at once. None for the number of requests that the model takes, plus
            one that is cut and one that is written.
    """

    chunker: Chunker | None
    headers: bool = False
    context: ContextualHeader | None = None
    late_chunking: bool = False
    clean_text: bool = False
    batch_documents: int = 256
    batch_characters: int = 200_000
    concurrency: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.late_chunking and self.context is not None:
            raise ConfigurationError(
                "late_chunking=True and context= both give a chunk the context of its document. Choose one."
            )

    def fitted(self, model: EmbeddingModel) -> IngestSettings:
        """Return the settings with the model's limit, less a header's tokens, in place of `chunk_size="model"`.

        With headers of the Batch interface, batches are ten times as large: each waits for a job.
        """
        if self.late_chunking:
            check_late_chunking(model)
        reserved = HEADER_TOKENS if self.headers else 0
        settings = self
        if self.context is not None:
            reserved += self.context.max_header_tokens
            if self.context.batch:
                documents, characters = max(self.batch_documents, 2560), max(self.batch_characters, 2_000_000)
                settings = replace(settings, batch_documents=documents, batch_characters=characters)
        return replace(settings, chunker=for_model(self.chunker, model, reserved=reserved))
