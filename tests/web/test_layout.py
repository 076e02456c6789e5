"""Nothing on the page overlaps or sticks out, at any width and with any content. Screenshots show what it looks like.

Set `EMBEDPIPE_SCREENSHOTS` to a folder to keep the screenshots.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from embedpipe import Document

Start = Callable[..., str]
Open = Callable[..., Page]
Ingest = Callable[..., None]

WIDTHS = (360, 768, 1100, 1101, 1300, 1920, 2560)
LONG = "W" * 3000
DOCUMENTS = [
    Document(id=f"/very/{'long-' * 60}path/{LONG[:200]}.md", text=f"tea {LONG} tea", metadata={"title": LONG[:900]}),
    Document(
        id="rtl",
        text="يُنقع الشاي الأخضر tea في ماء ساخن لمدة دقيقتين. (שלום) 80 °C!",
        metadata={"title": "الشاي الأخضر"},
    ),
    Document(
        id="html",
        text="<table><tr><td>tea</td></tr></table><b>tea</b><script>1</script>",
        metadata={"title": "<h1>tea</h1>"},
    ),
    Document(
        id="wide", text="tea | " + "漢字" * 900 + "\n" + "-" * 2000 + "\n\ttea\t" * 40, metadata={"page": LONG[:300]}
    ),
    Document(id="zalgo", text="tea " + "t̷̢̛͓̗͎̼͊͒̈́̈́e̸͎͗̆̿̀̇a̶̛̺̤͇̒̐͒͂" * 50, metadata={"title": "Ą́̈̂" * 200, LONG[:190]: LONG[:190]}),
    Document(
        id="lines", text="tea\n" * 3000, metadata={"title": "tea\n\n\ntea " * 100, "heading_path": [LONG[:400], "b"]}
    ),
    *(Document(id=f"id-{number}", text=f"tea {number}", metadata={"number": number}) for number in range(1000)),
]

FAULTS = (Path(__file__).parent / "geometry.js").read_text(encoding="utf-8").partition("\n")[2]


def check(page: Page, name: str) -> None:
    """Check the boxes at each width, and keep a screenshot of three of them."""
    folder = os.environ.get("EMBEDPIPE_SCREENSHOTS")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(FAULTS) == [], f"{name} at a width of {width}"
        if folder and width in (360, 1300, 2560):
            page.screenshot(path=Path(folder) / f"{name}-{width}.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps_or_sticks_out(url: Start, open_page: Open, ingest: Ingest, scheme: str) -> None:
    ingest(*DOCUMENTS, collection=LONG[:190])
    page = open_page(url() + "/?k=20&q=tea", color_scheme=scheme, reduced_motion="reduce")
    expect(page.get_by_role("status")).to_contain_text("20 results")
    expect(page.locator("#answer")).not_to_have_attribute("aria-busy", "true")
    page.get_by_text("Filter", exact=True).click()
    expect(page.get_by_label("Metadata")).to_be_visible()
    page.get_by_label("Metadata").select_option("number")
    page.get_by_label("Value").fill("7" * 300)
    page.get_by_label("Condition").select_option("is not")
    page.get_by_role("button", name="Add filter").click()
    expect(page.locator("#chips li")).to_have_count(1)
    expect(page.get_by_role("status")).to_contain_text("20 results")
    check(page, f"ask-{scheme}")
    for title in ("W" * 20, "الشاي", "<h1>"):
        button = page.locator("#results .title", has_text=title)
        if button.count():
            button.first.click()
            expect(page.locator("#passage")).to_be_visible()
            check(page, f"document-{scheme}")
            page.keyboard.press("Escape")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("status")).to_have_text(re.compile("Results for"))
    check(page, f"compare-{scheme}")
    page.get_by_role("link", name="Documents").click()
    expect(page.locator(".document-row")).to_have_count(50)
    page.locator("#files").set_input_files({"name": f"{LONG[:200]}.pdf", "mimeType": "text/plain", "buffer": b"x"})
    expect(page.locator("#uploads .wrong")).to_be_visible()
    check(page, f"documents-{scheme}")
