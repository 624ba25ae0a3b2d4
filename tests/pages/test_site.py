"""The site of the docs, as `make docs` has built it, in a real Chromium."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

SITE = Path(__file__).parents[2] / "site"
PHONE = 390
PAGES = sorted(path.name for path in SITE.glob("*.html"))


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where the site is served."""
    assert PAGES, "run `make docs` first"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_site(browser: Any, url: str) -> None:
    """No page loads anything from another host, reports an error, or is wider than a phone."""
    page = browser.new_page(viewport={"width": PHONE, "height": 900})
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in PAGES:
        page.goto(url + name)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, name
    page.close()
    assert [it for it in requests if not it.startswith((url, "data:", "blob:"))] == []
    assert errors == []


def test_search(browser: Any, url: str) -> None:
    """The search finds a setting on the page that describes it."""
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(url + "index.html")
    page.fill(".md-search__input", "outage_timeout")
    page.wait_for_selector(".md-search-result__item a[href*='settings.html']")
    page.close()
