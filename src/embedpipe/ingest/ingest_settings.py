"""How documents are taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

from embedpipe.chunking import for_model
from embedpipe.errors import ConfigurationError
from embedpipe.ingest.headers import HEADER_TOKENS
from embedpipe.types import Chunker, EmbeddingModel


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """How documents are taken.

    `chunker` None makes each document one chunk. `headers` puts the document's title and the chunk's headings before
    its text where it is embedded and indexed; what is stored as the chunk's text stays as it is. `clean_text` cleans
    each chunk's text, while its offsets point into the text that was given. `keep_text` False leaves the documents' own
    text out of the database. A batch ends with `batch_documents` documents or `batch_characters` characters;
    `concurrency` batches are under way at once, None for as many as the model takes requests, one to be cut and one to
    be written.
    """

    chunker: Chunker | None
    headers: bool = False
    clean_text: bool = False
    keep_text: bool = True
    batch_documents: int = 256
    batch_characters: int = 200_000
    concurrency: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch_documents", "batch_characters", "concurrency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} expected a positive number, got {value}.")

    def fitted(self, model: EmbeddingModel) -> IngestSettings:
        """The same with the model's limit, less what a header takes, in the place of the chunker's "model"."""
        chunker = for_model(self.chunker, model, reserved=HEADER_TOKENS if self.headers else 0)
        return replace(self, chunker=chunker)
