"""A browser, and pages of servers on real sockets over a database of the test's own. Set up by `make test-web`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from embedpipe import Database, Document, EmbeddingGenerator, PgVectorStore, SemanticSearchService
from embedpipe.server import ApiKeys, create_app
from serving import serving

PATIENCE_MS = 120_000
"""How long the browser waits for what must come: on a busy machine a search takes many seconds."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

TEXTS = {
    "green": "Green tea is steeped at 80 °C for two minutes. Hotter water makes it bitter.",
    "black": "Black tea takes boiling water and four minutes. Milk may be added.",
    "tides": "Spring tides come at new moon and at full moon. Neap tides come at the quarters.",
    "emoji": "🍵🧀🎉 Party snacks with cheese. 𝔘nicode letters outside the basic plane come before this. "
    "Sencha is a Japanese leaf that is steamed.",
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium: EMBEDPIPE_CHROMIUM, else the first on the path."""
    program = os.environ.get("EMBEDPIPE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "no Chromium on the path: install one, or set EMBEDPIPE_CHROMIUM"
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root has none of
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=sandbox, timeout=PATIENCE_MS)
        yield launched
        launched.close()


@pytest.fixture
def ingest(database: Database, minilm: EmbeddingGenerator) -> Callable[..., None]:
    """Stores documents, by default `TEXTS`, in a collection."""

    def run(*documents: Document, collection: str = "default", words: bool = True) -> None:
        if not words:
            PgVectorStore(database, collection=collection, model=minilm.spec, lexical=False).create()
        service = SemanticSearchService(minilm, database=database, collection=collection)
        usual = [Document(id=f"/teas/{name}.md", text=text, metadata={"name": name}) for name, text in TEXTS.items()]
        service.ingest(documents or usual).raise_for_failures()

    return run


@pytest.fixture
def url(database_url: str, minilm: EmbeddingGenerator) -> Iterator[Callable[..., str]]:
    """Starts a server over the test's own database: url(keys=...)."""
    with ExitStack() as stack:

        def start(*, keys: ApiKeys = ApiKeys()) -> str:  # noqa: B008 - frozen
            return stack.enter_context(serving(create_app(minilm.model, database=database_url, keys=keys)))

        yield start


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a session of its own: open_page(url, width=...); at the end, no script on it has failed."""
    said: list[str] = []

    def tell(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:  # a refusal
            said.append(message.text)

    with ExitStack() as stack:

        def start(url: str, *, width: int = 1280, height: int = 900, **settings: Any) -> Page:
            context = browser.new_context(viewport={"width": width, "height": height}, **settings)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("console", tell)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(url)
            return page

        yield start
    assert said == []
