"""Answers that are kept with the places that they cite, so that these can be checked later."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, Text, and_, cast, delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from embedpipe._checks import shown
from embedpipe.errors import InputError
from embedpipe.storage.tables import Catalogue, Collection
from embedpipe.storage.types import storable_text


class KeptAnswer(NamedTuple):
    """An answer that was kept: its id, when, and what is checked later.

    `document_ids` are those of all its sources. `citations` are JSON objects, one for each cited place.
    """

    id: str
    created_at: datetime
    question: str
    answer: str
    model: str | None
    document_ids: Sequence[str]
    citations: Sequence[Mapping[str, Any]]


def keep(
    connection: Connection,
    collection: Collection,
    question: str,
    answer: str,
    model: str | None,
    document_ids: Sequence[str],
    citations: Sequence[Mapping[str, Any]],
) -> str:
    """Keep an answer of this collection and return its id."""
    for text in (question, answer, *document_ids):
        storable_text(text, "The answer")
    values = {
        "collection": collection.number,
        "question": question,
        "answer": answer,
        "model": model,
        "document_ids": list(document_ids),
        "citations": cast(literal(json.dumps(citations), Text), JSONB),
    }
    answers = Catalogue(collection.schema).answers
    return str(connection.execute(insert(answers).values(values).returning(answers.c.id)).scalar_one())


def kept(connection: Connection, collection: Collection, answer_id: str) -> KeptAnswer:
    """Return a kept answer.

    Raises:
        InputError: If the collection has none of that id.
    """
    answers = Catalogue(collection.schema).answers
    row = connection.execute(
        select(answers).where(_own(answers, collection), answers.c.id == _uuid(answer_id))
    ).one_or_none()
    if row is None:
        raise _unknown(answer_id)
    return _answer(row)


def leaning_on(connection: Connection, collection: Collection, document_ids: Sequence[str]) -> list[KeptAnswer]:
    """Return the kept answers that have one of these documents among their sources, oldest first."""
    answers = Catalogue(collection.schema).answers
    rows = select(answers).where(_own(answers, collection), answers.c.document_ids.overlap(list(document_ids)))
    return [_answer(row) for row in connection.execute(rows.order_by(answers.c.created_at, answers.c.id))]


def discard(connection: Connection, collection: Collection, answer_ids: Sequence[str]) -> int:
    """Delete kept answers and return how many there were."""
    answers = Catalogue(collection.schema).answers
    ids = [_uuid(answer_id) for answer_id in answer_ids]
    return connection.execute(delete(answers).where(_own(answers, collection), answers.c.id.in_(ids))).rowcount


def discard_of(connection: Connection, collection: Collection, document_id: str) -> int:
    """Delete the kept answers that have this document among their sources, and return how many there were."""
    answers = Catalogue(collection.schema).answers
    of_it = answers.c.document_ids.overlap([document_id])
    return connection.execute(delete(answers).where(_own(answers, collection), of_it)).rowcount


def _own(answers: Table, collection: Collection) -> ColumnElement[bool]:
    """Return whether an answer is the collection's and the tenant's, also for a role that row security spares."""
    tenant = func.coalesce(func.current_setting("embedpipe.tenant", True), "")
    return and_(answers.c.collection == collection.number, answers.c.tenant == tenant)


def _uuid(answer_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(answer_id)
    except (ValueError, TypeError, AttributeError):
        raise _unknown(answer_id) from None


def _unknown(answer_id: object) -> InputError:
    return InputError(f"No answer with the id {shown(answer_id)} was kept. Pass an id that keep_answer() returned.")


def _answer(row: Any) -> KeptAnswer:
    return KeptAnswer(str(row.id), row.created_at, row.question, row.answer, row.model, row.document_ids, row.citations)
