"""Bodies of the two ways to embed: the plain one and OpenAI's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from embedpipe.server.schemas.common import Kind, RequestModel, ResponseModel, Several, Text

Token = Annotated[int, Field(ge=0, le=2**31 - 1)]
Tokens = Several[Token]


class EmbedRequest(RequestModel):
    """A text, which is cut into chunks where it is longer than one."""

    text: Text
    chunkSize: Annotated[int, Field(ge=1, le=1_000_000, description="Characters of a chunk, at most.")] = 1000  # noqa: N815 - the interface's name
    kind: Kind = "document"


class EmbedBatchRequest(RequestModel):
    """Texts, each of which gets one vector."""

    texts: Several[Text]
    kind: Kind = "document"


class EmbeddedText(ResponseModel):
    """A text with its vector, and its number of tokens in the model."""

    text: str
    embedding: list[float]
    tokenCount: int  # noqa: N815 - the interface's name


class EmbedResponse(ResponseModel):
    """The chunks of the text, in its order."""

    success: Literal[True]
    chunks: list[EmbeddedText]
    totalChunks: int  # noqa: N815 - the interface's name


class EmbedBatchResponse(ResponseModel):
    """The texts, in the request's order."""

    success: Literal[True]
    embeddings: list[EmbeddedText]


class EmbeddingsRequest(RequestModel):
    """As OpenAI's; `input_type` is an extension for models that embed questions in another way than documents."""

    input: Annotated[
        Text | Several[Text] | Tokens | Several[Tokens],
        Field(description="A text, texts, a text's token ids, or several texts' token ids."),
    ]
    model: Annotated[Text, Field(examples=["all-MiniLM-L6-v2"])]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Annotated[int | None, Field(ge=1, description="For models whose vectors can be shortened.")] = None
    user: str | None = None
    input_type: Kind = "document"


class Embedding(ResponseModel):
    """A vector: numbers, or the base64 of its little-endian float32s."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(ResponseModel):
    """Tokens in the model."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(ResponseModel):
    """As OpenAI's."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Model(ResponseModel):
    """A model that the server has."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(ResponseModel):
    """As OpenAI's."""

    object: Literal["list"]
    data: list[Model]
