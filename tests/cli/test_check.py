"""Before the first run: `check_dbt_cloud_job` and `dlt dbt-cloud check`, one implementation."""

from collections.abc import Iterator
from typing import Any

import pytest
import responses

from dlt_dbt_cloud import DBTCloudCheckException, DBTCloudConfiguration, check_dbt_cloud_job
from dlt_dbt_cloud._report.findings import DBTCloudCheck
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from tests.utils import ACCOUNT, HOST, JOB_ID, TOKEN, bodies, list_of, sample, sample_run

JOB = {**sample("jobs")["data"][0], "id": JOB_ID}


def credentials(**changes: Any) -> DBTCloudConfiguration:
    """Returns settings of a job on a cell account."""
    settings = {
        "api_token": TOKEN,
        "account_id": "70403103922125",
        "job_id": str(JOB_ID),
        "base_api_url": HOST,
        **changes,
    }
    return DBTCloudConfiguration(**settings)


def marks(report: DBTCloudCheck) -> dict[str, str]:
    """Returns what was found, in a word each."""
    return {finding.check: finding.mark for finding in report.findings}


@pytest.fixture
def account(api: responses.RequestsMock) -> responses.RequestsMock:
    """An account with the job, whose last run succeeded."""
    api.get(f"{ACCOUNT}/jobs/", json=sample("jobs"))
    api.get(f"{ACCOUNT}/jobs/{JOB_ID}/", json={"data": JOB})
    return api


def with_runs(api: responses.RequestsMock, *runs: dict[str, Any]) -> None:
    """Lets the job have these runs."""
    api.get(f"{ACCOUNT}/runs/", json=list_of(*runs))


def succeeded(run_id: int) -> dict[str, Any]:
    """Returns a run that succeeded."""
    run: dict[str, Any] = sample_run("run_success", id=run_id, can_retry=False)["data"]
    return run


class TestReport:
    """What the report tells."""

    def test_all_is_well(self, account: responses.RequestsMock) -> None:
        """Each thing is looked at, and the report prints what a person wants to know."""
        queued = sample_run("run_queued", id=9)["data"]
        with_runs(account, queued, *(succeeded(n) for n in (3, 2, 1)))
        account.post(f"{ACCOUNT}/runs/3/cancel/", status=400, json=sample("400"))
        report = check_dbt_cloud_job(credentials())
        assert set(marks(report).values()) == {"ok"}
        assert report.problems == []
        report.raise_on_problems()
        for fact in (
            *("Nightly flights", "dbt run", "1 run(s) ahead: 9", "usually 00:01:50 after"),
            *("trigger  allowed", "env      21"),
        ):
            assert fact in str(report), fact

    def test_nothing_is_triggered(self, account: responses.RequestsMock) -> None:
        """Whether the token may run jobs is found out by cancelling a run that has finished."""
        with_runs(account, succeeded(3))
        account.post(f"{ACCOUNT}/runs/3/cancel/", status=400, json=sample("400"))
        check_dbt_cloud_job(credentials())
        posts = [call.request.url for call in account.calls if call.request.method == "POST"]
        assert posts == [f"{ACCOUNT}/runs/3/cancel/"]

    @pytest.mark.parametrize(
        ("status", "mark"), [(400, "ok"), (403, "fix"), (404, "fix"), (500, "-")]
    )
    def test_permission(self, account: responses.RequestsMock, status: int, mark: str) -> None:
        """A refusal of the request means permission, one of the token that it lacks it."""
        with_runs(account, succeeded(3))
        account.post(f"{ACCOUNT}/runs/3/cancel/", status=status, json=sample(str(status)))
        report = check_dbt_cloud_job(credentials())
        assert marks(report)["trigger"] == mark
        assert ("Job runner" in str(report)) == (mark == "fix")

    @pytest.mark.parametrize(("status", "is_denied"), [(403, True), (500, False)])
    def test_unreadable_runs(
        self, account: responses.RequestsMock, status: int, is_denied: bool
    ) -> None:
        """Runs that can't be read are told, and the permission only if the token is refused."""
        account.get(f"{ACCOUNT}/runs/", status=status, json=sample(str(status)))
        report = check_dbt_cloud_job(credentials())
        assert marks(report)["runs"] == "fix"
        assert ("Job runner" in str(report)) is is_denied

    def test_accepted(self, account: responses.RequestsMock) -> None:
        """Some answer such a request with the run as it is: the token may run jobs too."""
        with_runs(account, succeeded(3))
        account.post(f"{ACCOUNT}/runs/3/cancel/", json={"data": succeeded(3)})
        assert marks(check_dbt_cloud_job(credentials()))["trigger"] == "ok"

    @pytest.mark.parametrize("runs", [[], [sample_run("run_queued", id=9)["data"]]])
    def test_unknown_permission(
        self, account: responses.RequestsMock, runs: list[dict[str, Any]]
    ) -> None:
        """Without a run that has finished, nothing is sent: none in progress is cancelled."""
        with_runs(account, *runs)
        assert marks(check_dbt_cloud_job(credentials()))["trigger"] == "-"
        assert bodies(account) == []

    def test_several_problems(self, api: responses.RequestsMock) -> None:
        """All problems are found at once, each with what to do, and raise if asked to."""
        job = {**JOB, "deactivated": True, "execute_steps": []}
        api.get(f"{ACCOUNT}/jobs/", json=sample("jobs"))
        api.get(f"{ACCOUNT}/jobs/{JOB_ID}/", json={"data": job})
        api.get(f"{ACCOUNT}/runs/", status=403, json=sample("403"))
        report = check_dbt_cloud_job(credentials(notify=True))
        found = marks(report)
        assert [name for name in found if found[name] == "fix"] == [
            "job",
            "steps",
            "notify",
            "runs",
        ]
        assert len(report.problems) == 4
        with pytest.raises(DBTCloudCheckException, match="deactivated") as caught:
            report.raise_on_problems()
        assert caught.value.problems == report.problems

    def test_retiring_host(self, api: responses.RequestsMock) -> None:
        """A host that is announced to retire is a warning, and no problem."""
        url = "https://cloud.getdbt.com/api/v2/accounts/1/jobs/"
        api.get(url, status=401, json=sample("401"))
        report = check_dbt_cloud_job(credentials(base_api_url="cloud.getdbt.com", account_id="1"))
        assert marks(report)["host"] == "warn"
        assert "dbt Labs is retiring hosts" in report.warnings[0]
        assert len(report.problems) == 1

    def test_settings(self, api: responses.RequestsMock) -> None:
        """Missing and malformed settings are all in the report, and nothing is sent."""
        report = check_dbt_cloud_job(credentials(api_token="", base_api_url="http://x.com"))
        found = marks(report)
        assert (found["host"], found["token"]) == ("fix", "fix")
        assert not api.calls

    def test_token_is_secret(self, account: responses.RequestsMock) -> None:
        """The report has no token."""
        with_runs(account)
        report = check_dbt_cloud_job(credentials())
        assert TOKEN not in str(report) + repr(report) + repr(report.findings)


@pytest.fixture
def cloud() -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job."""
    with LocalDBTCloud(jobs=[ScriptedJob("Nightly", statuses=[10])]) as cloud:
        yield cloud


def test_over_http(cloud: LocalDBTCloud) -> None:
    """Against a server, before and after the first run: no run comes of it."""
    from dlt_dbt_cloud import run_dbt_cloud_job  # noqa: PLC0415

    assert marks(check_dbt_cloud_job(cloud.credentials))["trigger"] == "-"
    run_dbt_cloud_job(cloud.credentials, progress="off", wait_seconds=0.1)
    assert marks(check_dbt_cloud_job(cloud.credentials))["trigger"] == "ok"
    assert len(cloud.jobs[0].runs) == 1
