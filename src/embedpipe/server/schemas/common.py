"""What the bodies of several resources share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from embedpipe._checks import checked_text
from embedpipe.server.settings import MOST_ITEMS
from embedpipe.server.web import levels
from embedpipe.storage import Fusion, Recency

T = TypeVar("T")

_DEEPEST = 32
_MOST_CONDITIONS = 100
_MOST_KEYS = 100


class RequestModel(BaseModel):
    """A request's body. Unknown keys are errors, and values are not converted to other types."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > _MOST_KEYS:  # otherwise each unknown key would become an error
            raise ValueError(f"there are {len(data)} keys, and the limit is {len(cls.model_fields)}")
        return data


class ResponseModel(BaseModel):
    """A response's body."""

    model_config = ConfigDict(frozen=True)


def _shallow(value: Any) -> Any:
    """Return the value. Raise `ValueError` if it is nested too deeply for those who read it later."""
    for depth, _ in enumerate(levels(value)):
        if depth == _DEEPEST:
            raise ValueError(f"the value is nested over {_DEEPEST} levels deep")
    return value


def _few_conditions(value: Any) -> Any:
    """Return the filter. Raise `ValueError` if it has too many conditions or values for one SQL statement."""
    conditions = values = 0
    for level in levels(value):
        conditions += sum(len(each) for each in level if isinstance(each, dict))
        values += sum(len(each) for each in level if isinstance(each, dict | list))
        if conditions > _MOST_CONDITIONS:
            raise ValueError(f"there are over {_MOST_CONDITIONS} conditions; use $in with a list of values")
        if values > MOST_ITEMS:
            raise ValueError(f"there are over {MOST_ITEMS} values")
    return value


Several = Annotated[list[T], Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)]
"""A list that is refused at its first wrong item, so that no request keeps the server busy with a long wrong list."""
JsonObject = Annotated[dict[str, Any], AfterValidator(_shallow)]

Text = Annotated[str, Field(min_length=1)]
Mode = Literal["dense", "lexical", "hybrid"]
Kind = Literal["document", "query"]

Collection = Annotated[
    str | None, Field(min_length=1, max_length=200, description="The collection; by default the server's own.")
]
CollectionName = Annotated[
    str | None, Query(alias="collection", min_length=1, max_length=200, description="By default the server's own.")
]
"""The collection as a parameter of the URL."""
Filter = Annotated[
    Annotated[JsonObject, AfterValidator(_few_conditions)] | None,
    Field(
        description='Conditions on the metadata: {"year": {"$gte": 2020}}.',
        examples=[{"year": {"$gte": 2020}}],
    ),
]
K = Annotated[int, Field(ge=1, description="The most results to return.")]
Threshold = Annotated[
    float | None,
    Field(
        ge=-1.0, le=1.0, allow_inf_nan=False, description="The lowest cosine similarity to the query, in every mode."
    ),
]
AsOf = Annotated[
    AwareDatetime | None,
    Field(
        strict=False,
        description="Search what the collection held at this moment, in a collection with history.",
        examples=["2026-05-01T12:00:00Z"],
    ),
]
RequiredPhrases = Annotated[
    bool,
    Field(
        description="Whether only chunks are found that hold the quoted phrases of the query. Otherwise phrases add to "
        "the score. Lexical searches always require them."
    ),
]


class RecencyBody(RequestModel):
    """How new chunks gain in a hybrid search: `weight` times 0.5 ** (age / half life) of the range of the scores.

    `key` is the metadata key of a date, such as "2026-11-30", or of seconds since 1970.
    """

    key: Annotated[str, Field(min_length=1, max_length=200, examples=["published"])]
    half_life_days: Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)] = 30.0
    weight: Annotated[float, Field(ge=1e-6, le=1, allow_inf_nan=False)] = 0.2

    def fusion(self) -> Fusion:
        """Return the fusion that a search takes.

        Raises:
            InputError: If PostgreSQL cannot take the key.
        """
        checked_text("recency.key", self.key)
        return Fusion(recency=Recency(key=self.key, half_life_days=self.half_life_days, weight=self.weight))


class ErrorDetail(ResponseModel):
    """Details of an error."""

    message: str = Field(description="What is wrong, and what to do.")
    type: str
    param: str | None = Field(description="The field with the error.")
    code: str | None
    request_id: str = Field(description="The request's id in the server's log.")


class ErrorBody(ResponseModel):
    """The body of every error response."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request is wrong."},
    "5XX": {"model": ErrorBody, "description": "The server, its database or its model failed."},
}
"""Every error has one shape."""
