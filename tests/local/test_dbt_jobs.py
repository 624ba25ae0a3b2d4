"""Jobs of real dbt on DuckDB, triggered and watched over HTTP. Each run of dbt takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud

STEPS = [
    "Clone git repository",
    "Create profile from connection duckdb",
    "Invoke dbt with `dbt deps`",
    "Invoke dbt with `dbt build`",
]


@pytest.fixture(scope="module")
def cloud(make_project: Callable[..., DBTJob]) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud whose dbt stays warm from test to test."""
    with LocalDBTCloud(jobs=[make_project()]) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def built(cloud: LocalDBTCloud, make_api: Callable[..., Any]) -> tuple[Any, Any]:
    """A client, and a run that has built the project of the first job."""
    api = make_api(cloud)
    return api, api.finished(api.trigger()["id"])


def test_a_run_succeeds(built: tuple[Any, Any]) -> None:
    """A run of a job ends as a success, with the steps that it has on dbt Cloud."""
    _, run = built
    assert (run["status"], run["status_message"]) == (10, None)
    assert [step["name"] for step in run["run_steps"]] == STEPS
    assert [step["index"] for step in run["run_steps"]] == [1, 2, 3, 4]
    assert {step["status_humanized"] for step in run["run_steps"]} == {"Success"}
    assert run["artifacts_saved"] and run["started_at"] and run["finished_at"]  # noqa: PT018


def test_logs_are_those_of_dbt(built: tuple[Any, Any]) -> None:
    """The logs of a step are what dbt prints, its debug logs what dbt writes, on demand in full."""
    api, run = built
    step = run["run_steps"][-1]
    assert "Done. PASS=3 WARN=0 ERROR=0" in step["logs"]
    assert "\x1b" not in step["logs"]
    assert step["debug_logs"] is None
    assert "Command `" in step["truncated_debug_logs"]
    in_full = api.get(f"steps/{step['id']}/", include_related="debug_logs")
    assert in_full["debug_logs"].endswith(step["truncated_debug_logs"].splitlines()[-1] + "\n")


def test_artifacts_are_those_of_dbt(built: tuple[Any, Any]) -> None:
    """Artifacts are listed and served as dbt wrote them."""
    api, run = built
    listed = api.get(f"runs/{run['id']}/artifacts/")
    assert {"manifest.json", "run_results.json", "run/tiny/models/numbers.sql"} <= set(listed)
    results = api.artifact(run["id"], "run_results.json")
    assert [result["status"] for result in results["results"]] == ["success", "success", "pass"]
    of_job = api.request("GET", f"jobs/{api.job_id}/artifacts/run_results.json").json()
    assert of_job == results


def test_artifacts_know_their_run(built: tuple[Any, Any]) -> None:
    """The environment of dbt tells it which run it is, and its artifacts tell everybody."""
    api, run = built
    env = api.artifact(run["id"], "manifest.json")["metadata"]["env"]
    assert env["DBT_CLOUD_RUN_ID"] == str(run["id"])
    assert env["DBT_CLOUD_JOB_ID"] == str(api.job_id)
    assert env["DBT_CLOUD_PROJECT_ID"] == str(run["project_id"])
    assert env["DBT_CLOUD_RUN_REASON"] == "a test"
    assert env["DBT_CLOUD_RUN_REASON_CATEGORY"] == "other"


def test_artifacts_are_of_a_step(built: tuple[Any, Any]) -> None:
    """`step` counts all steps of the run from 1; one that has no artifacts has none."""
    api, run = built
    path = f"runs/{run['id']}/artifacts/run_results.json"
    assert api.request("GET", path, params={"step": 4}).status_code == 200
    assert api.request("GET", path, params={"step": 3}).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["../stdout.log", "%2e%2e/stdout.log", "%2fetc%2fpasswd", "manifest.json%00", "compiled"],
)
def test_artifacts_stay_in_their_folder(built: tuple[Any, Any], path: str) -> None:
    """No path leads out of the artifacts of a run."""
    api, run = built
    import http.client  # noqa: PLC0415  # requests would tidy the path

    host = api.settings["base_api_url"].removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    root = f"/api/v2/accounts/{api.settings['account_id']}/runs/{run['id']}/artifacts/"
    headers = {"Authorization": f"Token {api.settings['api_token']}"}
    connection.request("GET", root + path, headers=headers)
    assert connection.getresponse().status == 404
    connection.close()


@pytest.fixture
def api_of(cloud: LocalDBTCloud, make_api: Callable[..., Any]) -> Callable[[DBTJob], Any]:
    """Add a job to it, and make a client for that job."""

    def add(job: DBTJob) -> Any:
        cloud._world.add_job(job)
        return make_api(cloud, len(cloud.jobs) - 1)

    return add


@pytest.fixture
def project(make_project: Callable[..., DBTJob]) -> DBTJob:
    """A dbt project that a test may change."""
    return make_project(env={"TINY_SLOW": "no"})


def model(job: DBTJob, name: str, sql: str) -> None:
    """Write a model."""
    (Path(job.project_dir) / "models" / f"{name}.sql").write_text(sql, encoding="utf-8")


@pytest.mark.slow
def test_retry_resumes_where_it_failed(project: DBTJob, api_of: Callable[[DBTJob], Any]) -> None:
    """A failing model fails the run and skips the later steps; a retry runs those two alone."""
    model(project, "doubled", "select no_such_column as doubled from {{ ref('numbers') }}")
    api = api_of(project)
    steps = ["dbt build --exclude test_type:data", "dbt ls --output name"]
    failed = api.finished(api.trigger(steps_override=steps)["id"])
    assert (failed["status"], failed["status_message"]) == (20, "dbt command failed")
    assert failed["run_steps"][-1]["status_humanized"] == "Error"
    assert "no_such_column" in failed["run_steps"][-1]["logs"]
    assert (failed["can_retry"], failed["retry_not_supported_reason"]) == (True, None)
    assert api.get(f"runs/{failed['id']}/retry/") == {
        "failed_step": steps[0],
        "skipped_steps": [steps[1]],
    }
    model(project, "doubled", "select id * 2 as doubled from {{ ref('numbers') }}")
    retried = api.finished(api.post(f"runs/{failed['id']}/retry/")["id"])
    assert (retried["status"], retried["retrying_run_id"]) == (10, failed["id"])
    assert [step["name"] for step in retried["run_steps"][3:]] == [
        "Invoke dbt with `dbt retry`",
        f"Invoke dbt with `{steps[1]}`",
    ]
    results = api.artifact(retried["id"], "run_results.json")["results"]
    assert [result["unique_id"] for result in results] == ["model.tiny.doubled"]
    refused = api.refusal("POST", f"runs/{failed['id']}/retry/")
    assert refused[0] == 400
    assert refused[1]["data"] == {"retry_not_supported_reason": "RETRY_NOT_LATEST_RUN"}


def test_failing_test(project: DBTJob, api_of: Callable[[DBTJob], Any]) -> None:
    """A test of the dbt project that fails makes the run fail, with its results as artifacts."""
    model(project, "doubled", "select null as doubled from {{ ref('numbers') }}")
    api = api_of(project)
    run = api.finished(api.trigger()["id"])
    assert (run["status"], run["can_retry"]) == (20, True)
    results = api.artifact(run["id"], "run_results.json")["results"]
    assert [result["status"] for result in results] == ["success", "success", "fail"]


def test_project_that_does_not_parse(project: DBTJob, api_of: Callable[[DBTJob], Any]) -> None:
    """Where dbt fails before it runs anything there are no artifacts, and nothing to retry."""
    model(project, "doubled", "select * from {{ ref('no_such_model') }}")
    api = api_of(project)
    run = api.finished(api.trigger()["id"])
    assert run["status"] == 20
    assert "no_such_model" in run["run_steps"][-1]["logs"]
    assert run["retry_not_supported_reason"] == "RETRY_NO_RUN_RESULTS"
    assert (run["artifacts_saved"], api.get(f"runs/{run['id']}/artifacts/")) == (False, None)
    assert api.request("GET", f"runs/{run['id']}/artifacts/run_results.json").status_code == 404


@pytest.mark.slow
def test_overrides(project: DBTJob, api_of: Callable[[DBTJob], Any]) -> None:
    """Schema, target, threads, steps and docs of a run are those that its trigger asks for."""
    api = api_of(project)
    run = api.finished(
        api.trigger(
            schema_override="elsewhere",
            target_name_override="prod",
            threads_override=2,
            steps_override=["dbt run --select numbers"],
            generate_docs_override=True,
        )["id"]
    )
    assert run["status"] == 10, run["run_steps"][-1]["logs"]
    assert run["has_docs_generated"] is True
    assert run["run_steps"][1]["name"].endswith("duckdb (override schema to 'elsewhere')")
    assert run["run_steps"][-1]["name"] == "Invoke dbt with `dbt docs generate`"
    assert api.artifact(run["id"], "run_results.json", step=4)["args"]["which"] == "run"
    # The last step that has it, as on dbt Cloud: not the one that built the models.
    assert api.artifact(run["id"], "run_results.json")["args"]["which"] == "generate"
    assert "Concurrency: 2 threads (target='prod')" in run["run_steps"][3]["logs"]
    with duckdb.connect(project.env["TINY_DATABASE"]) as database:
        rows = database.execute("select target_name from elsewhere.numbers").fetchall()
    assert rows == [("prod",)]


@pytest.fixture
def slow(make_project: Callable[..., DBTJob]) -> DBTJob:
    """A job that takes longer than any test."""
    return make_project(env={"TINY_SLOW": "yes"}, steps=("dbt run --select slow",))


def is_in_the_model(run: Any) -> bool:
    """Whether dbt runs a model right now."""
    return any("START" in step["logs"] for step in run["run_steps"])


@pytest.mark.slow
def test_cancel_timeout_and_queue(
    slow: DBTJob, make_api: Callable[..., Any], processes: Callable[[int], list[str]]
) -> None:
    """Runs of a job queue up; cancelled and timed out ones end, and so do their processes."""
    with LocalDBTCloud(jobs=[slow], cancel_grace=0.5) as cloud:
        api = make_api(cloud)
        first, second, third = (
            api.trigger(),
            api.trigger(),
            api.trigger(timeout_seconds_override=1),
        )
        running = api.until(first["id"], is_in_the_model)
        assert (running["status"], running["run_steps"][-1]["status"]) == (3, 3)
        assert processes(first["id"])
        assert api.run(second["id"])["blocked_by"] == [first["id"]]
        cancelled = api.post(f"runs/{second['id']}/cancel/")
        assert (cancelled["status"], cancelled["status_message"]) == (30, "Cancelled by user.")
        assert cancelled["started_at"] is None
        api.post(f"runs/{first['id']}/cancel/")
        ended = api.finished(first["id"])
        assert (ended["status"], ended["status_message"]) == (30, "Cancelled by user.")
        assert ended["run_steps"][-1]["status_humanized"] == "Cancelled"
        timed_out = api.finished(third["id"])
        timed_out_message = (
            "This run timed out after running for 1 second, which exceeded the configured "
            "timeout of 1 seconds."
        )
        assert (timed_out["status"], timed_out["status_message"]) == (
            30,
            timed_out_message,
        )
        assert not processes(first["id"]) + processes(third["id"])


@pytest.mark.slow
def test_jobs_run_side_by_side_and_leave_nothing(
    make_project: Callable[..., DBTJob],
    make_api: Callable[..., Any],
    processes: Callable[[int], list[str]],
) -> None:
    """Different jobs run at the same time. When the block ends, even badly, their dbt ends."""

    def slow_job() -> DBTJob:
        return make_project(env={"TINY_SLOW": "yes"}, steps=("dbt run --select slow",))

    run_ids: list[int] = []

    def fail_while_they_run() -> None:
        with LocalDBTCloud(jobs=[slow_job(), slow_job()], cancel_grace=0.5) as cloud:
            api = make_api(cloud)
            run_ids.extend(api.trigger(job.id)["id"] for job in cloud.jobs)
            for run_id in run_ids:
                api.until(run_id, is_in_the_model)
            assert [api.run(run_id)["status"] for run_id in run_ids] == [3, 3]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_they_run()
    assert not [process for run_id in run_ids for process in processes(run_id)]
