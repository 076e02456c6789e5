from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import FilePayload, Locator, Page, Route, expect

from embedpipe import Document
from embedpipe.server import ApiKeys

KEY, READ_KEY = "a-key-for-the-tests-of-the-page", "a-key-that-may-only-read"
MODES = {"hybrid": "Hybrid", "dense": "By meaning", "lexical": "By words", "reranked": "Reranked"}
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

Start = Callable[..., str]
Open = Callable[..., Page]
Ingest = Callable[..., None]


def column(page: Page, mode: str) -> Locator:
    return page.get_by_role("region", name=MODES[mode], exact=True)


def results(page: Page) -> Locator:
    return page.get_by_role("region", name="Results").get_by_role("article")


def answer(page: Page) -> Locator:
    """The answer, once it is whole."""
    found = page.get_by_role("region", name="Answer")
    expect(found.locator(".text")).to_be_visible()
    expect(found).not_to_have_attribute("aria-busy", "true")
    return found


def ready(page: Page) -> None:
    """Wait until the collections are loaded, without which nothing is asked."""
    expect(page.locator("#facts")).to_have_text(re.compile("documents? ·"))


def ask(page: Page, question: str) -> None:
    ready(page)
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()


def finished(page: Page) -> str:
    """What the page tells a screen reader once the searches have ended."""
    status = page.get_by_role("status")
    expect(status).to_have_text(re.compile("[rR]esults? for|Nothing found|failed"))
    return str(status.inner_text())


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_question_is_answered_above_the_passages(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    at = url()
    page = open_page(at)
    expect(page.get_by_text("4 documents · 4 passages · all-MiniLM-L6-v2")).to_be_visible()
    question = "how hot is the water for green tea?"
    ask(page, question)
    assert finished(page) == f"4 results for “{question}”."
    expected = httpx.post(f"{at}/answer", json={"question": question, "k": 10}, timeout=60).json()
    text = answer(page).locator(".text")
    assert text.inner_text().startswith(expected["statements"][0]["text"])
    cite = text.get_by_role("button", name=re.compile("^Source 1: "))
    expect(cite.first).to_be_visible()
    found = httpx.post(f"{at}/search", json={"query": question, "k": 10}, timeout=60).json()["results"]
    assert results(page).locator("h3").all_inner_texts() == [hit["title"] for hit in found]
    assert results(page).locator(".snippet").all_inner_texts() == [hit["snippet"]["text"] for hit in found]
    first = results(page).first
    spans = [found[0]["snippet"]["text"][span["start"] : span["end"]] for span in found[0]["snippet"]["spans"]]
    assert first.locator("mark").all_inner_texts() == spans
    why = first.get_by_role("list", name="Why it was found").locator(".visually-hidden").all_text_contents()
    assert why == [
        f"Meaning: similarity {found[0]['similarity']:.2f}, rank 1",
        f"Words: BM25 score {found[0]['lexical_score']:.2f}, rank 1",
    ]
    places = [box["y"] for box in (text.bounding_box(), first.bounding_box()) if box]
    assert places == sorted(set(places))


def test_a_citation_jumps_to_its_place_beside_the_answer(url: Start, open_page: Open, ingest: Ingest) -> None:
    before, wanted = "🍵 𝔘 line.\n" * 4000, "The capybara naps beside the river."
    ingest(Document(id="folder/a b?#.md", text=f"{before}{wanted}\n{'after ' * 6000}", metadata={"title": "Long"}))
    page = open_page(url(), width=1300)
    ask(page, "where does the capybara nap?")
    finished(page)
    cite = answer(page).get_by_role("button", name="Source 1: Long").first
    cite.click()
    document = page.get_by_role("complementary", name="Long")
    passage = document.locator("#passage")
    expect(passage).to_be_in_viewport()
    assert passage.inner_text() == wanted
    expect(document.get_by_role("button", name=re.compile("Show .* more characters")).first).to_be_attached()
    boxes = answer(page).bounding_box(), document.bounding_box()
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    page.keyboard.press("Escape")
    expect(document).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == cite.inner_text()


def test_a_result_opens_in_its_document(url: Start, open_page: Open, ingest: Ingest) -> None:
    text = "x " * 500 + "Sencha is steamed. 🍵 Matcha is ground."
    ingest(Document(id="leaf", text=text, metadata={"title": "Leaves", "page": 3}))
    page = open_page(url())
    ask(page, "ground matcha")
    finished(page)
    expect(results(page).first.locator(".where")).to_have_text("leaf · page 3")
    results(page).get_by_role("button", name="Leaves, result 1").click()
    passage = page.locator("#passage")
    expect(passage.locator("mark").last).to_have_text("ground")
    found = httpx.post(page.url.partition("?")[0] + "search", json={"query": "ground matcha"}, timeout=60).json()
    hit = found["results"][0]
    assert passage.inner_text() == hit["text"]
    assert parameters(page)["at"] == [f"{hit['start']}-{hit['end']}"]


def test_the_address_holds_the_search(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    at = url()
    page = open_page(at)
    ask(page, "tides")
    finished(page)
    page.get_by_label("Search").select_option("By words")
    expect(page.get_by_role("status")).to_have_text("1 result for “tides”.")
    results(page).get_by_role("button", name="tides, result 1").click()
    expect(page.locator("#passage")).to_be_visible()
    assert {name: value for name, [value] in parameters(page).items()} == {
        "q": "tides",
        "mode": "lexical",
        "doc": "/teas/tides.md",
        "at": "0-80",
    }
    shared = open_page(page.url)
    expect(shared.locator("#passage")).to_be_visible()
    expect(shared.get_by_role("status")).to_have_text("1 result for “tides”.")
    assert shared.get_by_label("Question").input_value() == "tides"
    assert shared.get_by_label("Search").input_value() == "lexical"
    page.go_back()
    expect(page.locator("#document")).to_be_hidden()
    page.go_back()
    expect(page.get_by_label("Search")).to_have_value("hybrid")
    expect(page.get_by_role("status")).to_have_text("4 results for “tides”.")
    ask(page, "boiling water")
    expect(page.get_by_role("status")).to_contain_text("boiling water")
    page.go_back()
    expect(page.get_by_role("status")).to_have_text("4 results for “tides”.")
    assert page.get_by_label("Question").input_value() == "tides"


def test_filters_are_chosen_from_the_metadata(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest(
        *(
            Document(
                id=str(n), text=f"Tea number {n}.", metadata={"year": 2000 + n, "kind": "ab"[n % 2], "odd": n % 2 == 1}
            )
            for n in range(6)
        )
    )
    page = open_page(url())
    ask(page, "tea")
    assert finished(page) == "6 results for “tea”."
    page.get_by_text("Filter", exact=True).click()
    form = page.get_by_role("form", name="Add a filter")
    expect(form.get_by_label("Metadata").locator("option")).to_have_text(["kind", "odd", "year"])

    def add(key: str, operator: str, value: str) -> None:
        form.get_by_label("Metadata").select_option(key)
        form.get_by_label("Condition").select_option(operator)
        form.get_by_label("Value").fill(value)
        form.get_by_role("button", name="Add filter").click()

    status, chips = page.get_by_role("status"), page.get_by_role("list", name="Filters")
    add("year", "at least", "2003")
    expect(status).to_have_text("3 results for “tea”.")
    add("odd", "is", "true")
    expect(status).to_have_text("2 results for “tea”.")
    add("odd", "is", "false")  # either of them
    expect(status).to_have_text("3 results for “tea”.")
    expect(chips.get_by_role("listitem").locator("span")).to_have_text(
        ["year at least 2003", "odd is one of true, false"]
    )
    assert json.loads(parameters(page)["filter"][0]) == {
        "$and": [{"year": {"$gte": 2003}}, {"odd": {"$in": [True, False]}}]
    }
    chips.get_by_role("button", name="Remove the filter: year at least 2003").click()
    expect(status).to_have_text("6 results for “tea”.")
    chips.get_by_role("button").click()
    add("kind", "contains", "B")
    expect(status).to_have_text("3 results for “tea”.")
    add("year", "at least", "soon")
    expect(page.get_by_role("alert").filter(has_text="Enter a value")).to_be_visible()


def test_searches_stand_side_by_side(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    at = url()
    page = open_page(at)
    ready(page)
    page.get_by_role("link", name="Compare").click()
    question = "how hot is the water for green tea?"
    ask(page, question)
    assert finished(page) == f"Results for “{question}”. Hybrid: 4, By meaning: 4, By words: 2, Reranked: 4."
    left = []
    for mode in MODES:
        body = {"mode": "hybrid", "rerank": True} if mode == "reranked" else {"mode": mode}
        found = httpx.post(f"{at}/search", json={"query": question, "k": 10, **body}, timeout=60).json()["results"]
        cards = column(page, mode).get_by_role("article")
        assert cards.locator("h3").all_inner_texts() == [hit["title"] for hit in found]
        assert cards.locator(".place").all_inner_texts() == [str(place + 1) for place in range(len(found))]
        box = column(page, mode).bounding_box()
        assert box is not None
        left.append(box["x"])
    assert left == sorted(set(left))
    first = column(page, "hybrid").get_by_role("article").first
    ranks = first.get_by_role("list", name="Ranks in the other searches").get_by_role("listitem").all_inner_texts()
    assert ranks == ["By meaning 1", "By words 1", "Reranked 1"]
    first.hover()
    expect(page.locator(".hit.same")).to_have_count(4)


@pytest.mark.parametrize("width", [360, 390])
def test_small_screens_show_one_search_at_a_time(url: Start, open_page: Open, ingest: Ingest, width: int) -> None:
    ingest()
    page = open_page(url() + "/?view=compare", width=width, height=700)
    ask(page, "tea " + "and a very long word " + "x" * 80)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [column(page, mode).count() for mode in MODES] == [1, 0, 0, 0]
    page.get_by_role("radio", name="Hybrid").focus()
    page.keyboard.press("ArrowRight")
    expect(column(page, "dense")).to_be_visible()
    assert [column(page, mode).count() for mode in MODES] == [0, 1, 0, 0]


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
    ready(page)
    assert focused(page) == "Question"
    page.keyboard.type("boiling water")
    page.keyboard.press("Enter")
    finished(page)
    answer(page)
    order = []
    for _ in range(12):
        page.keyboard.press("Tab")
        order.append(focused(page))
    assert order[:5] == ["Ask", "Collection", "Search", "Results", "Filter"]
    assert order[5].startswith("Source 1: black")
    at = order.index("black, result 1")
    assert order[at + 1].endswith("result 2")
    page.get_by_role("button", name="black, result 1").focus()
    page.keyboard.press("ArrowDown")
    opened = focused(page)
    assert opened.endswith("result 2")
    page.keyboard.press("Enter")
    expect(page.locator("#passage")).to_be_visible()
    assert focused(page) == "The document's text"
    page.keyboard.press("Escape")
    expect(page.locator("#document")).to_be_hidden()
    assert focused(page) == opened
    page.keyboard.press("/")
    assert focused(page) == "Question"
    page.keyboard.press("/")
    assert page.get_by_label("Question").input_value().endswith("/")


def test_a_document_that_covers_the_page_is_alone(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    page = open_page(url(), width=800)
    ask(page, "tides")
    finished(page)
    opener = results(page).first.get_by_role("button")
    name = opener.get_attribute("aria-label")
    opener.click()
    expect(page.locator("#passage")).to_be_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || document.activeElement.closest('#document') !== null"
        )
    page.get_by_role("button", name="Close").click()
    assert page.evaluate("document.activeElement.ariaLabel") == name


HOSTILE = """<script>window.hacked = 'script'</script>
<img src=x onerror="window.hacked = 'image'"> <svg onload="window.hacked = 'svg'"></svg>
</mark></p><iframe src="javascript:parent.hacked='frame'"></iframe> &lt;b&gt; ${window.hacked = 'template'} volcano"""


def test_html_in_documents_is_only_text(url: Start, open_page: Open, ingest: Ingest) -> None:
    evil = "<img src=x onerror=\"window.hacked='title'\">"
    ingest(
        Document(id=f"id {evil} </script>", text=HOSTILE, metadata={"title": evil, evil: evil}),
        Document(id="2", text=f"volcano {HOSTILE}", metadata={"title": {"a": evil}, "name": evil, "page": evil}),
        collection=evil,
    )
    page = open_page(url() + "/?q=%3Cimg+src%3Dx+onerror%3Dhacked%3D1%3E+script+volcano")
    expect(page.get_by_role("status")).to_contain_text("2 results for “<img src=x onerror=")
    answer(page)
    expect(page.locator("h3", has_text=evil)).to_have_count(2)
    page.get_by_text("Filter", exact=True).click()
    expect(page.get_by_label("Metadata").locator("option").first).to_have_text(evil)
    results(page).get_by_role("button").first.click()
    expect(page.locator("#passage")).to_contain_text("<script>window.hacked")
    page.get_by_role("link", name="Documents").click()
    expect(page.locator(".document-row", has_text=evil)).to_have_count(2)
    assert results(page).count() == 0  # those of the question are not above it
    page.get_by_role("button", name=f"Delete {evil}").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(evil)
    assert page.locator("img").count() == 1  # the page's own sign
    assert page.locator("main script, main iframe, main svg, dialog script, dialog iframe, dialog svg").count() == 0
    assert page.evaluate("typeof window.hacked") == "undefined"


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(url: Start, open_page: Open) -> None:
    at = url()
    served = httpx.get(at)
    policy = dict(part.strip().split(" ", 1) for part in served.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=|https?://", served.text)
    asked: list[str] = []
    page = open_page("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(at)
    expect(page.get_by_text("There is no collection yet")).to_be_visible()
    page.wait_for_load_state("networkidle")
    paths = {request.partition("?")[0].removeprefix(at) for request in asked}
    parts = {path for path in paths if re.fullmatch(r"/page/\w+\.js", path)}
    assert paths - parts == {"/", "/page/icon.svg", "/page/style.css", "/collections"}
    assert (
        len(served.content) + sum(len(httpx.get(at + path).content) for path in parts | {"/page/style.css"}) < 100_000
    )
    assert all("innerHTML" not in httpx.get(at + path).text for path in parts)


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
    assert "4 results" in finished(page)
    assert page.evaluate("[localStorage.length, document.cookie, Object.values({...sessionStorage})]") == [0, "", [KEY]]
    assert KEY not in page.url
    assert KEY not in page.content()
    page.get_by_role("button", name="API key").click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_key_that_may_only_read_offers_no_changes(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    page = open_page(url(keys=ApiKeys.of([KEY], reading=[READ_KEY])) + "/?view=documents")
    page.get_by_role("textbox", name="Key").fill(READ_KEY)
    page.keyboard.press("Enter")
    rows = page.get_by_role("list", name="Documents").get_by_role("listitem")
    expect(rows).to_have_count(4)
    expect(page.get_by_text("Your key may only read.")).to_be_visible()
    assert page.get_by_role("button", name=re.compile("Delete|Choose files")).count() == 0


def test_documents_are_listed_opened_and_deleted(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest(*(Document(id=f"folder/{n:03}.md", text=f"Text number {n}.") for n in range(60)))
    page = open_page(url())
    ready(page)
    page.get_by_role("link", name="Documents").click()
    rows = page.get_by_role("list", name="Documents", exact=True).get_by_role("listitem")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(60)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    page.get_by_label("Title or id contains").fill("05")
    expect(rows).to_have_count(11)
    page.get_by_role("button", name="050.md", exact=True).click()
    expect(page.get_by_role("region", name="The document's text")).to_have_text("Text number 50.")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete 050.md").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(rows).to_have_count(11)
    page.get_by_role("button", name="Delete 050.md").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(10)
    expect(page.get_by_text("59 documents ·")).to_be_visible()
    page.get_by_label("Title or id contains").fill("050")
    expect(page.get_by_text("No document has this in its title or id.")).to_be_visible()


def test_files_are_uploaded_and_each_says_what_became_of_it(url: Start, open_page: Open) -> None:
    page = open_page(url())
    page.get_by_role("link", name="Upload documents").click()
    expect(page.get_by_text("There is no document yet.")).to_be_visible()
    contents = {
        "tea.md": b"# Oolong\n\nThe leaves of oolong are rolled.",
        "empty.txt": b"",
        "broken.pdf": b"%PDF-1.4 broken",
        "large.txt": b"x" * 7_000_001,
    }
    files: list[FilePayload] = [
        {"name": name, "mimeType": "text/plain", "buffer": content} for name, content in contents.items()
    ]
    page.locator("#files").set_input_files(files)
    uploads = page.get_by_role("list", name="Uploads").get_by_role("listitem")
    expect(uploads.nth(0)).to_contain_text("added, 1 passage")
    expect(uploads.nth(1)).to_contain_text("It is empty.")
    expect(uploads.nth(2).locator(".wrong")).to_contain_text("broken")
    expect(uploads.nth(3)).to_contain_text("It has over 7 MB.")
    page.locator("#files").set_input_files(files[:1])
    expect(uploads.nth(4)).to_contain_text("unchanged")
    expect(page.get_by_text("1 document · 1 passage")).to_be_visible()
    page.get_by_role("link", name="Ask").click()
    ask(page, "which leaves are rolled?")
    expect(answer(page)).to_contain_text("The leaves of oolong are rolled.")


def test_what_there_is_to_say_is_said(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    at = url()
    page = open_page(at + "/?q=tea&filter=%7B%22name%22%3A")
    expect(page.get_by_text("The filter in the address is not a JSON object")).to_be_visible()
    page.get_by_role("button", name="Remove the filter").click()
    assert finished(page) == "4 results for “tea”."
    page.goto(at + '/?q=tea&filter={"name":{"$near":3}}')
    assert finished(page) == "The search failed."
    expect(page.get_by_role("region", name="Results")).to_contain_text("$near")
    page.goto(at + '/?q=tea&filter={"name":"nobody"}')
    assert finished(page) == "Nothing found for “tea”."
    expect(page.get_by_text("Try other words, or remove a filter.")).to_be_visible()
    expect(answer(page).locator(".unanswered")).to_be_visible()
    page.goto(at + "/?q=tea&doc=nothing")
    expect(page.get_by_text("The collection has no document with this id.")).to_be_visible()
    page.keyboard.press("Escape")
    page.route("**/search", lambda route: route.abort())
    ask(page, "tides")
    expect(page.get_by_text("The server does not answer. Is it running?")).to_be_visible()


EVENTS = 'event: text\ndata: {"text": "Green tea is "}\n\n'


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ('event: error\ndata: {"error": {"message": "The model failed."}}\n\n', "The model failed."),
        ("", "The answer broke off."),
    ],
)
def test_an_answer_that_breaks_off_keeps_what_came(
    url: Start, open_page: Open, ingest: Ingest, rest: str, said: str
) -> None:
    ingest()
    page = open_page(url())

    def answered(route: Route) -> None:
        route.fulfill(body=EVENTS + rest, content_type="text/event-stream")

    page.route("**/answer", answered)
    ask(page, "green tea")
    assert "4 results" in finished(page)
    expect(page.get_by_role("region", name="Answer")).to_contain_text("Green tea is")
    expect(page.get_by_role("region", name="Answer").locator(".wrong")).to_have_text(
        f"The answer broke off here: {said}"
    )


def test_citations_that_failed_their_check_are_told(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    at = url()
    page = open_page(at)
    whole = httpx.post(f"{at}/answer", json={"question": "green tea"}, timeout=60).json()
    [statement] = whole["statements"][:1]
    value = {
        "kind": "number",
        "text": "9",
        "start": 0,
        "end": 1,
        "nearest": "two",
        "nearest_start": 0,
        "nearest_end": 3,
    }
    citation = statement["citations"][0] | {"status": "unsupported_value", "values": [value]}
    whole["statements"] = [statement | {"citations": [citation]}]
    whole["model"] = "a model"
    body = f"event: answer\ndata: {json.dumps(whole)}\n\n"
    page.route("**/answer", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    ask(page, "green tea")
    problems = answer(page).get_by_role("list", name="Citations that failed their check")
    expect(problems).to_contain_text("does not have a value of this sentence. “9” (the source has “two”)")
    expect(answer(page).get_by_role("button", name="does not have a value").first).to_be_visible()
    expect(answer(page)).to_contain_text("Written by a model.")


def test_a_collection_without_words_is_searched_by_meaning(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest(words=False)
    page = open_page(url())
    ask(page, "tides")
    assert finished(page) == "4 results for “tides”."
    assert page.get_by_label("Search").locator("option").all_inner_texts() == ["By meaning"]
    answer(page)
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("status")).to_have_text("Results for “tides”. By meaning: 4.")


def test_a_later_search_replaces_the_one_under_way(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    page = open_page(url())
    held: list[Route] = []
    page.route("**/search", lambda route: route.continue_() if held else held.append(route))
    ask(page, "tides")
    expect(page.get_by_role("status")).to_have_text("Searching…")
    ask(page, "boiling water")
    assert "boiling water" in finished(page)
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)
    assert "boiling water" in page.get_by_role("status").inner_text()
    assert results(page).locator("h3").all_inner_texts()[0] == "black"


def test_colours_are_chosen(url: Start, open_page: Open, ingest: Ingest) -> None:
    ingest()
    page = open_page(url(), color_scheme="light")
    ready(page)

    def brightness() -> int:
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", background)[:3]))

    assert brightness() > 600
    for _ in range(2):  # from automatic to light to dark
        page.get_by_role("button", name="Colours").click()
    assert brightness() < 200
    page.reload()
    assert brightness() < 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found(url: Start, open_page: Open, ingest: Ingest, scheme: str) -> None:
    ingest()
    page = open_page(url(), color_scheme=scheme, reduced_motion="reduce")
    ready(page)
    page.evaluate(AXE.read_text(encoding="utf-8"))

    def barriers() -> list[Any]:
        violations: list[Any] = page.evaluate("axe.run()")["violations"]
        return [(found["id"], found["nodes"][0]["html"]) for found in violations]

    assert barriers() == []
    ask(page, "boiling water")
    finished(page)
    answer(page)
    page.get_by_text("Filter", exact=True).click()
    expect(page.get_by_label("Metadata")).to_be_visible()
    assert barriers() == []
    results(page).get_by_role("button").first.click()
    expect(page.locator("#passage")).to_be_visible()
    assert barriers() == []
    page.set_viewport_size({"width": 360, "height": 700})
    assert barriers() == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name="Compare").click()
    finished(page)
    expect(page.locator("#compare article").first).to_be_visible()
    assert barriers() == []
    page.get_by_role("link", name="Documents").click()
    expect(page.locator(".document-row").first).to_be_visible()
    page.locator("#files").set_input_files({"name": "a.md", "mimeType": "text/plain", "buffer": b"Tea."})
    expect(page.locator("#uploads")).to_contain_text("added")
    assert barriers() == []
    page.get_by_role("button", name=re.compile("Delete")).first.click()
    assert barriers() == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")
