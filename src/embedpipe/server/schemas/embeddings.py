"""The bodies of `/embed`, `/embed/batch` and `/v1`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from embedpipe.server.schemas.common import Kind, RequestModel, ResponseModel, Several, Text

Token = Annotated[int, Field(ge=0, le=2**31 - 1)]
Tokens = Several[Token]


class EmbedRequest(RequestModel):
    """A text to split into chunks and embed."""

    text: Text
    chunkSize: Annotated[int, Field(ge=1, le=1_000_000, description="The most characters of a chunk.")] = 1000  # noqa: N815 - the interface's name
    kind: Kind = "document"


class EmbedBatchRequest(RequestModel):
    """Texts to embed, one vector each."""

    texts: Several[Text]
    kind: Kind = "document"


class EmbeddedText(ResponseModel):
    """A text with its vector and its number of the model's tokens."""

    text: str
    embedding: list[float]
    tokenCount: int  # noqa: N815 - the interface's name


class EmbedResponse(ResponseModel):
    """The chunks in the order of the text."""

    success: Literal[True]
    chunks: list[EmbeddedText]
    totalChunks: int  # noqa: N815 - the interface's name


class EmbedBatchResponse(ResponseModel):
    """The texts in the order of the request."""

    success: Literal[True]
    embeddings: list[EmbeddedText]


class EmbeddingsRequest(RequestModel):
    """OpenAI's request. `input_type` is an extension for models that embed queries differently from documents.

    Without it, texts are documents, except those that begin with one of the model's own prompts: a client has put that
    there, and it is not put there twice.
    """

    input: Annotated[
        Text | Several[Text] | Tokens | Several[Tokens],
        Field(description="A text, several texts, the token ids of a text, or those of several texts."),
    ]
    model: Annotated[Text, Field(examples=["all-MiniLM-L6-v2"])]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Annotated[int | None, Field(ge=1, description="Shorter vectors, if the model supports them.")] = None
    user: str | None = None
    input_type: Kind | None = None


class Embedding(ResponseModel):
    """A vector: numbers, or little-endian float32 values in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(ResponseModel):
    """Numbers of the model's tokens."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(ResponseModel):
    """OpenAI's response with embeddings."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Model(ResponseModel):
    """A model of the server."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(ResponseModel):
    """OpenAI's list of models."""

    object: Literal["list"]
    data: list[Model]
