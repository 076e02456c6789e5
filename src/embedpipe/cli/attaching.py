"""The work of `attach`, `detach`, `sync` and `worker`."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from embedpipe.cli.commands import check_exists
from embedpipe.cli.ingesting import stats_json, summary
from embedpipe.cli.render import console, errors, write_json
from embedpipe.errors import DatabaseUnavailableError, LockTimeoutError, ProviderError, RateLimitError
from embedpipe.storage import Database, PgVectorStore, Table

if TYPE_CHECKING:
    from embedpipe.ingest import ProcessingStats
    from embedpipe.service import SemanticSearchService

_PASSING = (DatabaseUnavailableError, LockTimeoutError, ProviderError, RateLimitError)
"""Errors that end by themselves, so that a worker tries again."""


def attach_table(service: SemanticSearchService, table: Table, *, as_json: bool) -> None:
    """Attach a table, and say what comes next."""
    service.attach(table)
    if as_json:
        write_json({"collection": service.store.name, "table": table.name})
    else:
        console.print(
            f"{service.store.name} follows {table.name}. Run `embedpipe sync` to bring its rows in.", markup=False
        )


def detach_table(url: str | None, collection: str, *, as_json: bool) -> None:
    """Detach the table that a collection follows, if it follows one."""
    with closing(Database(url)) as database:
        check_exists(collection, database)
        detached = PgVectorStore(database, collection=collection).detach()
    if as_json:
        write_json({"collection": collection, "detached": detached})
    else:
        console.print(f"{collection} follows no table {'any more' if detached else 'and did not before'}", markup=False)


def sync_once(service: SemanticSearchService, *, as_json: bool) -> bool:
    """Bring in what changed. Return whether all of it was taken."""
    stats = service.sync()
    if as_json:
        failures = {name: str(error) for name, error in stats.failures.items()}
        write_json(stats_json(stats) | {"failures": failures})
    else:
        console.print(summary(stats))
    return not stats.failures


def follow(service: SemanticSearchService, *, interval_s: float) -> None:
    """Bring in what changes, until the process ends. It may be killed at any time: nothing is lost or doubled."""
    while True:
        try:
            stats = service.sync(every_failure=False)
        except _PASSING as error:
            errors.print(f"trying again in {interval_s:g} s: {error}", markup=False)
        else:
            if _did_something(stats):
                console.print(summary(stats))
        time.sleep(interval_s)


def _did_something(stats: ProcessingStats) -> bool:
    return bool(stats.documents or stats.removed)
