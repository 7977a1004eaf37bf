"""The report as people see it: in a real browser, on a telephone and a desk, by day and by night."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from finops.cli import demonstration
from tests.reports.browser import NAME, Browser, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which(NAME), reason=f"needs Debian's package {NAME}"),
]

TOO_WIDE = """
[...document.querySelectorAll("body *")]
  .filter(each => !each.closest(".scroll, details:not([open])"))
  .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(each => `${each.tagName}.${each.className} ${each.textContent.trim().slice(0, 40)}`)
"""
CUT_OFF = """
[...document.querySelectorAll("h1, h2, h3, h4, dt, dd, th, td, li, p, code")]
  .filter(each => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
  .filter(each => getComputedStyle(each).overflowX !== "visible")
  .map(each => each.textContent.trim().slice(0, 40))
"""
WIDTHS = """
[document.documentElement.scrollWidth, document.documentElement.clientWidth, window.innerWidth]
"""
COLORS = """
[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish the demo company's month."""
    folder = tmp_path_factory.mktemp("demo")
    demonstration.run(folder)
    return folder / "reports" / "monthly-2026-10.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def luminance(color: str) -> float:
    """Tell how bright `rgb(r, g, b)` is, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_fits_its_window_and_asks_nobody_for_anything(
    page: Path, browser: Browser, width: int, scheme: str, tmp_path: Path
) -> None:
    browser.open(page, width, scheme)
    scrolled, shown, wide = browser.ask(WIDTHS)
    assert (scrolled, wide) == (shown, width)
    assert browser.ask(TOO_WIDE) == []
    assert browser.ask(CUT_OFF) == []

    background, ink = map(luminance, browser.ask(COLORS))
    assert (background < ink) == (scheme == "dark")
    contrast = (max(background, ink) + 0.05) / (min(background, ink) + 0.05)
    assert contrast > 7

    requested = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert requested == [page.as_uri()]
    complaints = [
        event
        for event in browser.events
        if event["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}
        or (event["method"] == "Runtime.consoleAPICalled")
    ]
    assert complaints == []
    (tmp_path / "page.png").write_bytes(browser.picture())
    assert (tmp_path / "page.png").stat().st_size > 50_000
