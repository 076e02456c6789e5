"""What several resources' bodies have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from embedpipe.server.settings import MOST_ITEMS

T = TypeVar("T")

_DEEPEST = 32
_MOST_CONDITIONS = 100
_MOST_KEYS = 100


class RequestModel(BaseModel):
    """A request's body: every key is known, and no value is taken for another type's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > _MOST_KEYS:  # each unknown one would become an error
            raise ValueError(f"at most {len(cls.model_fields)} keys were expected, and {len(data)} came")
        return data


class ResponseModel(BaseModel):
    """A response's body."""

    model_config = ConfigDict(frozen=True)


def _shallow(value: Any) -> Any:
    """The value; `ValueError` where it is nested deeper than anything that reads it goes."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"at most {_DEEPEST} levels of nesting were expected")
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for group in inner for each in group]
    return value


def _few_conditions(value: Any) -> Any:
    """The filter; `ValueError` where it holds more conditions or values than a statement is to be made of."""
    conditions = values = 0
    level = [value]
    while level:
        conditions += sum(len(each) for each in level if isinstance(each, dict))
        values += sum(map(len, level))
        if conditions > _MOST_CONDITIONS:
            raise ValueError(f"at most {_MOST_CONDITIONS} conditions were expected; $in takes a list of values")
        if values > MOST_ITEMS:
            raise ValueError(f"at most {MOST_ITEMS} values were expected, and more came")
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for group in inner for each in group if isinstance(each, dict | list)]
    return value


Several = Annotated[list[T], Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)]
"""A list that is given up at its first wrong item, and that no request can make a server read for long."""
JsonObject = Annotated[dict[str, Any], AfterValidator(_shallow)]

Text = Annotated[str, Field(min_length=1)]
Mode = Literal["dense", "lexical", "hybrid"]
Kind = Literal["document", "query"]

Collection = Annotated[
    str | None, Field(min_length=1, max_length=200, description="Where the chunks lie; by default the server's own.")
]
Filter = Annotated[
    Annotated[JsonObject, AfterValidator(_few_conditions)] | None,
    Field(
        description='Conditions on the metadata: {"year": {"$gte": 2020}}.',
        examples=[{"year": {"$gte": 2020}}],
    ),
]
K = Annotated[int, Field(ge=1, description="How many results, at most.")]
Threshold = Annotated[
    float | None,
    Field(ge=-1.0, le=1.0, allow_inf_nan=False, description="The least cosine similarity to the query, in every mode."),
]


class ErrorDetail(ResponseModel):
    """What went wrong."""

    message: str = Field(description="What was expected, what came, and what to do.")
    type: str
    param: str | None = Field(description="The field that it is about.")
    code: str | None
    request_id: str = Field(description="The id that the server's log has it under.")


class ErrorBody(ResponseModel):
    """The body of every response that is no success."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be answered as it is."},
    "5XX": {"model": ErrorBody, "description": "The server, or what it stands on, failed."},
}
"""Every error has one shape."""
