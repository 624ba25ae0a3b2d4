"""The pages of a run and of the local dbt Cloud, as people see and use them in Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from dlt_dbt_cloud import DBTCloudRun, run_dbt_cloud_job
from dlt_dbt_cloud.local import LocalDBTCloud
from tests.report.test_wording import large_run

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

WIDTHS = (360, 1440)
SCHEMES = ("light", "dark")


class Window:
    """A page in a window, and all that its console said."""

    def __init__(
        self, browser: Any, *, width: int = 1440, scheme: str = "light", script: bool = True
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture
def window(browser: Any) -> Iterator[Window]:
    """A wide window. Nothing is said on its console."""
    window = Window(browser)
    yield window
    window.context.close()
    assert window.said == []


@pytest.fixture
def running(cloud: LocalDBTCloud) -> Iterator[DBTCloudRun]:
    """A run in progress, which is cancelled in the end."""
    run = run_dbt_cloud_job(cloud.credentials_for("Long job"), wait_for_outcome=False)
    yield run
    root = f"{cloud.url}/api/v2/accounts/{cloud.settings()['account_id']}/runs/{run.id}"
    token = {"Authorization": f"Token {cloud.settings()['api_token']}"}
    requests.post(f"{root}/cancel/", headers=token, timeout=5)


@pytest.fixture
def report(failed: DBTCloudRun, tmp_path: Path) -> str:
    """The saved page of the failed run."""
    return failed.save_report(tmp_path / "run.html").as_uri()


class TestContent:
    """What the pages say."""

    def test_report(self, window: Window, report: str, failed: DBTCloudRun) -> None:
        """Outcome first, then what failed and why, then steps, timeline, nodes and logs."""
        window.page.goto(report)
        text = window.page.inner_text("main")
        for node in failed.failed_nodes:
            assert node.name in text
            assert node.place in text
        assert "Conversion Error: Could not convert string" in text
        heads = window.page.eval_on_selector_all("h2", "all => all.map(it => it.innerText)")
        assert heads[:5] == [
            "What failed",
            "Warnings",
            "Steps",
            "Timeline by thread",
            "Slowest nodes",
        ]
        assert window.page.locator(".timeline rect").count() == len(
            [node for node in failed.nodes if node.started_at]
        )

    def test_alone(self, window: Window, report: str) -> None:
        """The saved page asks for nothing but itself."""
        window.page.goto(report)
        assert window.asked == [report]

    def test_same(self, window: Window, report: str, failed: DBTCloudRun) -> None:
        """The page of the local dbt Cloud says what the saved one says."""
        window.page.goto(report)
        saved = window.page.inner_text("main")
        window.page.goto(failed.url)
        shown = window.page.inner_text("main")
        assert [it for it in saved.splitlines() if it != "Open in dbt Cloud" and it] == [
            it for it in shown.splitlines() if it
        ]

    def test_index(self, window: Window, cloud: LocalDBTCloud, failed: DBTCloudRun) -> None:
        """The first page has the jobs with their commands, and leads to the runs."""
        window.page.goto(cloud.url)
        assert "dbt build" in window.page.inner_text("#jobs")
        window.page.click(f"text={failed.id}")
        window.page.wait_for_url(failed.url)
        assert f"run {failed.id} of job Nightly orders" in window.page.inner_text("h1")

    def test_escaping(self, window: Window, cloud: LocalDBTCloud) -> None:
        """A job whose name is a script is a text, on each page."""
        name = "<script>alert(1)</script>"
        run = run_dbt_cloud_job(cloud.credentials_for(name), progress="off")
        for url in (cloud.url, run.url):
            window.page.goto(url)
            assert name in window.page.inner_text("main")
            assert window.page.locator("main script, main img").count() == 0

    def test_large(self, window: Window, tmp_path: Path) -> None:
        """A run with 3,000 nodes is a page that opens."""
        path = large_run().save_report(tmp_path / "large.html")
        window.page.goto(path.as_uri())
        assert window.page.locator("tbody tr").count() > 3000


class TestLive:
    """Pages follow what they show."""

    def test_log(self, window: Window, cloud: LocalDBTCloud, running: DBTCloudRun) -> None:
        """The page of a run shows how it goes on and ends, without being loaded again."""
        window.page.goto(running.url)
        window.page.wait_for_selector("text=1 of 2 START")
        window.page.evaluate("window.isSame = true")
        window.page.click("text=Cancel this run")
        window.page.wait_for_selector(".pill:has-text('Cancelled')")
        window.page.wait_for_selector("text=Cancel this run", state="detached")
        assert window.page.locator("main[data-live]").count() == 0

    def test_new_run(self, window: Window, cloud: LocalDBTCloud) -> None:
        """The first page shows a run that a script has started, and keeps what is focused."""
        window.page.goto(cloud.url)
        window.page.evaluate("window.isSame = true")
        window.page.focus("button")
        run = run_dbt_cloud_job(cloud.credentials_for(2), progress="off")
        window.page.wait_for_selector(f"text={run.id}")
        assert window.page.evaluate("window.isSame")
        assert window.page.evaluate("document.activeElement.tagName") == "BUTTON"

    def test_opened(self, window: Window, running: DBTCloudRun) -> None:
        """What a person has closed stays closed."""
        window.page.goto(running.url)
        window.page.click("#logs summary")
        before = window.page.inner_text("#steps")
        window.page.wait_for_function(
            "before => document.querySelector('#steps').innerText !== before", arg=before
        )
        assert not window.page.evaluate("document.querySelector('#logs details').open")

    def test_without_script(self, browser: Any, cloud: LocalDBTCloud) -> None:
        """Without script all works: a job is run, its page reloads itself, it is cancelled."""
        window = Window(browser, script=False)
        window.page.goto(cloud.url)
        window.page.click("[aria-label='Run Long job']")
        window.page.wait_for_url(re.compile("/deploy/"))
        assert window.page.locator("meta[http-equiv=refresh]").count() == 1
        window.page.click("text=Cancel this run")
        assert "Cancelled" in window.page.inner_text("main")
        window.context.close()

    def test_server_that_is_gone(self, browser: Any) -> None:
        """A page says when its dbt Cloud does not answer."""
        from dlt_dbt_cloud.local import ScriptedJob  # noqa: PLC0415

        window = Window(browser)
        with LocalDBTCloud(jobs=[ScriptedJob()]) as cloud:
            window.page.goto(cloud.url)
        window.page.wait_for_selector("text=does not answer")
        window.context.close()


class TestUse:
    """For everybody: keyboard, contrast, labels, any width."""

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("width", WIDTHS)
    def test_axe(  # noqa: PLR0917  # what is looked at
        self,
        browser: Any,
        width: int,
        scheme: str,
        cloud: LocalDBTCloud,
        failed: DBTCloudRun,
        running: DBTCloudRun,
        report: str,
    ) -> None:
        """axe-core finds nothing, and nothing is wider than the window."""
        window = Window(browser, width=width, scheme=scheme)
        for url in (cloud.url, failed.url, running.url, report, f"{cloud.url}/pages/none"):
            window.page.goto(url)
            window.page.eval_on_selector_all("details", "all => all.forEach(it => it.open = true)")
            found = axe.Axe().run(window.page)
            assert found.violations_count == 0, found.generate_report()
            assert window.page.evaluate("document.documentElement.scrollWidth") <= width
        window.context.close()

    def test_keyboard(self, window: Window, failed: DBTCloudRun) -> None:
        """Each folded part opens by keyboard, and what is focused is seen."""
        window.page.goto(failed.url)
        window.page.focus("#logs summary")
        window.page.keyboard.press("Enter")
        assert window.page.evaluate("document.activeElement.parentElement.open")
        window.page.keyboard.press("Tab")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert window.page.evaluate(outline) == "solid"

    def test_notebook(self, window: Window, failed: DBTCloudRun) -> None:
        """The table of a notebook can be read on its dark theme too, and leaves that as it is."""
        window.page.set_content(
            "<html lang=en><title>x</title><style>body {background: #111; color: #eee}</style>"
            "<main><h1>Notebook</h1>"
            f"{failed._repr_html_()}</main></html>"
        )
        found = axe.Axe().run(window.page)
        assert found.violations_count == 0, found.generate_report()
        background = "getComputedStyle(document.body).backgroundColor"
        assert window.page.evaluate(background) == "rgb(17, 17, 17)"
        assert "light dark" not in window.page.evaluate(
            "getComputedStyle(document.documentElement).colorScheme"
        )


class TestSafety:
    """Nobody else can use the pages, and they give nothing away."""

    def test_token(self, window: Window, cloud: LocalDBTCloud, failed: DBTCloudRun) -> None:
        """No page and no URL has the token of the API."""
        token = cloud.settings()["api_token"]
        for url in (cloud.url, failed.url):
            window.page.goto(url)
            assert token not in window.page.content()
        assert not any(token in url for url in window.asked)
