from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from embedpipe import Document
from embedpipe.server import ApiKeys

KEY = "a-key-for-the-tests-of-the-page"
TITLES = {"dense": "By meaning", "lexical": "By words", "hybrid": "Hybrid", "reranked": "Reranked"}
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

Start = Callable[..., str]
Open = Callable[..., Page]
Ingest = Callable[..., None]


def column(page: Page, mode: str) -> Locator:
    return page.get_by_role("region", name=TITLES[mode], exact=True)


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question or words").fill(question)
    page.get_by_role("button", name="Search").click()


def finished(page: Page) -> str:
    """What the page tells a screen reader once all searches have ended."""
    status = page.get_by_role("status")
    expect(status).to_have_text(re.compile("Results for|Nothing found|failed"))
    return str(status.inner_text())


def test_four_searches_stand_side_by_side(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    at = url()
    page = open_page(at)
    expect(page.get_by_text("4 documents · 4 passages · all-MiniLM-L6-v2")).to_be_visible()
    question = "how hot is the water for green tea?"
    ask(page, question)
    assert finished(page) == f"Results for “{question}”. By meaning: 4, By words: 2, Hybrid: 4, Reranked: 4."
    bodies: dict[str, dict[str, Any]] = {mode: {"mode": mode} for mode in ("dense", "lexical", "hybrid")}
    bodies["reranked"] = {"mode": "hybrid", "rerank": True}
    main = {"dense": "similarity", "lexical": "lexical_score", "hybrid": "score", "reranked": "rerank_score"}
    left = []
    for mode, body in bodies.items():
        found = httpx.post(f"{at}/search", json={"query": question, "k": 5, **body}).json()["results"]
        cards = column(page, mode).get_by_role("article")
        assert cards.locator("h3").all_inner_texts() == [hit["metadata"]["name"] for hit in found]
        assert cards.locator(".score").all_inner_texts() == [f"{hit[main[mode]]:.3f}" for hit in found]
        assert cards.locator(".place").all_inner_texts() == [str(place + 1) for place in range(len(found))]
        box = column(page, mode).bounding_box()
        assert box is not None
        left.append(box["x"])
    assert left == sorted(set(left))
    first = column(page, "hybrid").get_by_role("article").first
    assert set(first.locator("mark").all_inner_texts()) == {"Green", "tea", "Hotter", "water"} - {"Hotter"}
    assert first.locator(".scores").inner_text().split()[0] == "cosine"
    ranks = first.get_by_role("list", name="Ranks in the other searches").get_by_role("listitem").all_inner_texts()
    assert ranks == ["By meaning 1", "By words 1", "Reranked 1"]
    first.hover()
    expect(page.locator(".hit.same")).to_have_count(4)


def test_a_passage_is_shown_in_its_document(url: Start, open_page: Open, ingest: Ingest) -> None:
    before, wanted = "🍵 𝔘 line\n" * 4000, "The capybara naps beside the river."
    ingest(Document(id="folder/a b?#.md", text=f"{before}{wanted}\n{'after ' * 6000}", metadata={"title": "Long"}))
    page = open_page(url())
    ask(page, "where does the capybara nap?")
    finished(page)
    page.get_by_role("button", name="Show in document: Long, By words 1").click()
    dialog = page.get_by_role("dialog", name="Long")
    passage = dialog.locator("#passage")
    expect(passage).to_be_in_viewport()
    found = httpx.post(page.url.partition("?")[0] + "search", json={"query": "capybara", "mode": "lexical"}).json()
    [hit] = found["results"]
    assert passage.inner_text() == hit["text"]
    assert wanted in hit["text"]
    assert (
        {"capybara", "nap"} >= {mark.rstrip("s") for mark in passage.locator("mark").all_inner_texts()} >= {"capybara"}
    )
    assert "characters …" in dialog.inner_text()  # what is far off is left out
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def focused(page: Page) -> str:
    """The name of what has the focus, and that it shows."""
    shown = """() => {
        const focus = document.activeElement, style = getComputedStyle(focus.closest('label') ?? focus);
        const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
        return [focus.getAttribute('aria-label') ?? focus.labels?.[0]?.textContent ?? focus.textContent, ring];
    }"""
    name, ring = page.evaluate(shown)
    assert ring, f"no focus to be seen on {name!r}"
    return re.sub(r"\s+", " ", str(name)).strip()


def test_the_keyboard_is_enough(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    page = open_page(url())
    expect(page.get_by_text("4 documents")).to_be_visible()
    assert focused(page) == "Question or words"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Skip to the results"
    page.keyboard.press("Tab")
    page.keyboard.type("boiling water")
    page.keyboard.press("Enter")
    finished(page)
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(focused(page))
    assert order[:5] == [
        "Collection",
        "Results each",
        "Filter on metadata (JSON, optional)",
        "Search",
        "Show in document: black, By meaning 1",
    ]
    assert order[5].endswith("By meaning 2")
    page.keyboard.press("Enter")
    opened = focused(page)
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#passage")).to_be_visible()
    assert focused(page) == "The document's text" != opened
    page.keyboard.press("Tab")
    assert page.evaluate(
        "document.activeElement.closest('dialog') !== null || document.activeElement === document.body"
    )
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert focused(page) == order[-1]


HOSTILE = """<script>window.hacked = 'script'</script>
<img src=x onerror="window.hacked = 'image'"> <svg onload="window.hacked = 'svg'"></svg>
</mark></p><iframe src="javascript:parent.hacked='frame'"></iframe> &lt;b&gt; ${window.hacked = 'template'} volcano"""


def test_html_in_documents_is_only_text(url: Start, open_page: Open, ingest: Ingest) -> None:
    evil = "<img src=x onerror=\"window.hacked='title'\">"
    ingest(
        Document(id=f"id {evil} </script>", text=HOSTILE, metadata={"title": evil}),
        Document(id="2", text=f"volcano {HOSTILE}", metadata={"title": {"a": evil}, "name": evil, "page": evil}),
        collection=evil,
    )
    page = open_page(url() + "/?q=%3Cimg+src%3Dx+onerror%3Dhacked%3D1%3E+script+volcano")
    expect(page.get_by_role("status")).to_contain_text("Results for “<img src=x onerror=")
    expect(page.locator(".passage")).to_have_count(8)
    passages = page.locator(".passage").all_text_contents()
    assert any("<script>window.hacked = 'script'</script>" in text for text in passages)
    expect(page.locator("h3", has_text=evil)).to_have_count(8)
    page.get_by_role("button", name="Hybrid 1").click()
    expect(page.get_by_role("dialog").locator("#passage")).to_contain_text("<script>window.hacked")
    assert page.locator("img").count() == 1  # the page's own sign
    assert page.locator("main script, main iframe, main svg, dialog script, dialog iframe, dialog svg").count() == 0
    assert page.evaluate("typeof window.hacked") == "undefined"


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(url: Start, open_page: Open) -> None:
    at = url()
    answer = httpx.get(at)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=|https?://", answer.text)
    asked: list[str] = []
    page = open_page("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(at)
    expect(page.get_by_text("There is no collection yet")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert {request.partition("?")[0].removeprefix(at) for request in asked} == {
        "/",
        "/page/app.js",
        "/page/icon.svg",
        "/page/style.css",
        "/collections",
    }


def test_the_key_is_asked_for_and_kept_in_the_tab_alone(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    page = open_page(url(keys=ApiKeys.of([KEY])))
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_be_visible()
    assert focused(page) == "Key"
    page.keyboard.type("not-the-key-of-the-server")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("The server does not accept this key.")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("4 documents")).to_be_visible()
    ask(page, "tides")
    assert "By words: 1" in finished(page)
    assert page.evaluate("[localStorage.length, document.cookie, Object.values({...sessionStorage})]") == [0, "", [KEY]]
    assert KEY not in page.url
    assert KEY not in page.content()
    page.get_by_role("button", name="API key").click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_what_there_is_to_say_is_said(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    at = url()
    page = open_page(at)
    page.get_by_label("Filter on metadata").fill('{"name": ')
    ask(page, "tea")
    expect(page.get_by_role("alert").filter(has_text="Expected a JSON object")).to_be_visible()
    assert focused(page).startswith("Filter on metadata")
    page.get_by_label("Filter on metadata").fill('{"name": {"$near": 3}}')
    page.keyboard.press("Enter")
    assert finished(page) == "The search failed."
    assert "$near" in column(page, "dense").inner_text()
    page.get_by_label("Filter on metadata").fill('{"name": "nobody"}')
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Nothing found for “tea”.")
    assert column(page, "hybrid").get_by_text("Nothing found").is_visible()
    page.get_by_label("Filter on metadata").fill('{"name": "green"}')
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("By meaning: 1")
    page.route("**/search", lambda route: route.abort())
    ask(page, "tea")
    expect(column(page, "lexical").get_by_text("The server does not answer. Is it running?")).to_be_visible()


def test_a_later_search_replaces_the_one_under_way(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    page = open_page(url())
    held: list[Any] = []
    page.route("**/search", lambda route: held.append(route) if len(held) < 4 else route.continue_())
    ask(page, "tides")
    expect(column(page, "hybrid")).to_have_attribute("aria-busy", "true")
    ask(page, "boiling water")
    assert "boiling water" in finished(page)
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)
    assert "boiling water" in page.get_by_role("status").inner_text()
    assert column(page, "lexical").locator("h3").all_inner_texts()[0] == "black"


@pytest.mark.parametrize("width", [320, 390])
def test_small_screens_show_one_search_at_a_time(url: Start, open_page: Open, ingest: Ingest, width: int) -> None:
    ingest()
    page = open_page(url(), width=width, height=700)
    ask(page, "tea " + "and a very long word " + "x" * 80)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [column(page, mode).count() for mode in TITLES] == [0, 0, 1, 0]
    page.get_by_role("radio", name="Hybrid").focus()
    page.keyboard.press("ArrowRight")
    expect(column(page, "reranked")).to_be_visible()
    assert [column(page, mode).count() for mode in TITLES] == [0, 0, 0, 1]


@pytest.mark.parametrize("width", [1200, 1440])
def test_a_long_title_stays_in_its_column(url: Start, open_page: Open, ingest: Ingest, width: int) -> None:
    ingest(Document(id="tea", text="Green tea is steeped at 80 °C.", metadata={"title": "The steeping of tea " * 5}))
    page = open_page(url(), width=width)
    ask(page, "green tea")
    finished(page)
    for mode in TITLES:
        outer, inner = column(page, mode).bounding_box(), column(page, mode).get_by_role("article").bounding_box()
        assert outer is not None
        assert inner is not None
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found(url: Start, open_page: Open, ingest: Ingest, scheme: str) -> None:
    ingest()
    page = open_page(url(), color_scheme=scheme, reduced_motion="reduce")
    expect(page.get_by_text("4 documents")).to_be_visible()
    page.evaluate(AXE.read_text(encoding="utf-8"))

    def barriers() -> list[Any]:
        violations: list[Any] = page.evaluate("axe.run()")["violations"]
        return [(found["id"], found["nodes"][0]["html"]) for found in violations]

    assert barriers() == []
    ask(page, "boiling water")
    finished(page)
    assert barriers() == []
    page.get_by_role("button", name="Hybrid 1").click()
    expect(page.locator("#passage")).to_be_visible()
    assert barriers() == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")
