"""The pages of the local dbt Cloud without a browser: what they show, refuse and give away."""

import re
from collections.abc import Iterator

import pytest
import requests

from dlt_dbt_cloud import run_dbt_cloud_job
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.local.pages.app import InnerApi

NODE = {"unique_id": "model.shop.revenue", "status": "error", "message": "no number"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job that fails, and one that goes on."""
    jobs = [
        ScriptedJob(
            "Nightly orders", statuses=[20], artifacts={"run_results.json": {"results": [NODE]}}
        ),
        ScriptedJob("Long job", statuses=[(0, 3), (3600, 10)]),
    ]
    with LocalDBTCloud(jobs=jobs) as cloud:
        yield cloud


def form_token(cloud: LocalDBTCloud) -> str:
    """Returns what the forms of the pages carry."""
    found = re.search(r'name="form_token" value="(.+?)"', requests.get(cloud.url, timeout=5).text)
    assert found
    return found[1]


class TestViews:
    """What is there."""

    def test_run(self, cloud: LocalDBTCloud) -> None:
        """A run is where its `href` leads, with its failed nodes."""
        run = run_dbt_cloud_job(cloud.credentials, progress="off", wait_seconds=0.1)
        page = requests.get(run.url, timeout=5)
        assert page.status_code == 200
        assert "no number" in page.text
        assert str(run.id) in requests.get(cloud.url, timeout=5).text

    def test_forms(self, cloud: LocalDBTCloud) -> None:
        """A job is run and its run cancelled by a form; each leads to the run."""
        data = {"form_token": form_token(cloud)}
        started = requests.post(
            f"{cloud.url}/pages/jobs/{cloud.jobs[1].id}/run", data=data, timeout=5
        )
        assert started.url.startswith(f"{cloud.url}/deploy/")
        assert "data-live" in started.text
        run_id = cloud.jobs[1].runs[-1].id
        ended = requests.post(f"{cloud.url}/pages/runs/{run_id}/cancel", data=data, timeout=5)
        assert "Cancelled by Local token" in ended.text

    @pytest.mark.parametrize("path", ["deploy/1/projects/1/runs/5/", "pages/x", "deploy/x"])
    def test_missing(self, cloud: LocalDBTCloud, path: str) -> None:
        """What is not there is a page that says so."""
        answer = requests.get(f"{cloud.url}/{path}", timeout=5)
        assert answer.status_code == 404
        assert "That did not work" in answer.text

    @pytest.mark.parametrize("name", ["page.css", "site.css", "live.js"])
    def test_own_files(self, cloud: LocalDBTCloud, name: str) -> None:
        """The style sheets and the script are sent."""
        assert requests.get(f"{cloud.url}/pages/files/{name}", timeout=5).text

    def test_artifact(self, cloud: LocalDBTCloud) -> None:
        """What the API refuses is refused here too."""
        settings = cloud.settings()
        api = InnerApi(cloud._wire, cloud.url, settings["api_token"], settings["account_id"])
        with pytest.raises(requests.HTTPError):
            api.get_artifact(5, "run_results.json", step=1)


class TestSafety:
    """Nobody else can use the pages, and they give nothing away."""

    def test_token(self, cloud: LocalDBTCloud) -> None:
        """No page has the token of the API."""
        assert cloud.settings()["api_token"] not in requests.get(cloud.url, timeout=5).text

    def test_policy(self, cloud: LocalDBTCloud) -> None:
        """No script, style or frame but the page's own is allowed."""
        policy = requests.get(cloud.url, timeout=5).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy

    @pytest.mark.parametrize("token", [None, "", "x", "é"])
    def test_forged_form(self, cloud: LocalDBTCloud, token: str | None) -> None:
        """A form without the page's own token runs and cancels nothing."""
        before = len(cloud.jobs[0].runs)
        for path in (f"jobs/{cloud.jobs[0].id}/run", "runs/1/cancel"):
            data = {"form_token": token} if token is not None else {}
            answer = requests.post(f"{cloud.url}/pages/{path}", data=data, timeout=5)
            assert answer.status_code == 403
        assert len(cloud.jobs[0].runs) == before

    def test_other_host(self, cloud: LocalDBTCloud) -> None:
        """A site whose name leads to this machine sees nothing."""
        answer = requests.get(cloud.url, headers={"Host": "evil.example"}, timeout=5)
        assert answer.status_code == 421
        assert "Nightly orders" not in answer.text

    def test_api_needs_its_token(self, cloud: LocalDBTCloud) -> None:
        """The API beside the pages is as closed as it was."""
        account = cloud.settings()["account_id"]
        answer = requests.get(f"{cloud.url}/api/v2/accounts/{account}/runs/", timeout=5)
        assert answer.status_code == 401

    @pytest.mark.parametrize("name", ["..%2Fapp.py", "none.css", "%2Fetc%2Fpasswd"])
    def test_files(self, cloud: LocalDBTCloud, name: str) -> None:
        """No other file is sent."""
        assert requests.get(f"{cloud.url}/pages/files/{name}", timeout=5).status_code == 404
