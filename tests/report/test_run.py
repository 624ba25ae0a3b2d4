"""What a run tells a script and a person."""

import json
import pickle
from typing import Any

import dlt
import pytest

from dlt_dbt_cloud import (
    DBTCloudNode,
    DBTCloudRun,
    DBTCloudRunCancelledException,
    DBTCloudRunException,
    DBTCloudRunFailedException,
    DBTCloudRunOutcomeUnknownException,
    DBTCloudRunStatus,
    DBTCloudRunTimedOutException,
)
from dlt_dbt_cloud._report import nodes
from dlt_dbt_cloud.run import LoadedTables, UsualTimes
from dlt_dbt_cloud.run.log import log_tail
from tests.utils import sample


def run_of(name: str, **changes: Any) -> DBTCloudRun:
    """Returns a recorded run, some fields changed."""
    return DBTCloudRun({**sample(name)["data"], **changes})


def failed_run() -> DBTCloudRun:
    """Returns a run with a failed step, model and test."""
    run = run_of("run_error_related")
    run.nodes = tuple(nodes(sample("run_results")))
    return run


class TestStatus:
    """The integer status decides, as the display strings are not to be trusted."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("run_queued", {"is_queued", "in_progress"}),
            ("run_running", {"in_progress"}),
            ("run_success", {"is_success", "is_complete"}),
            ("run_error", {"is_error", "is_complete"}),
            ("run_internal_error", {"is_error", "is_complete"}),
            ("run_cancelled_by_user", {"is_cancelled", "is_complete"}),
            ("run_cancelled_by_infrastructure", {"is_cancelled", "is_complete"}),
            ("run_timed_out", {"is_timed_out", "is_complete"}),
        ],
    )
    def test_recorded(self, name: str, expected: set[str]) -> None:
        """Each recorded run is what it is, and nothing else."""
        questions = {
            *("is_queued", "in_progress", "is_complete", "is_success", "is_error"),
            *("is_cancelled", "is_timed_out"),
        }
        run = run_of(name, is_success=None, is_complete=None, status_humanized="?")
        assert {question for question in questions if getattr(run, question)} == expected

    @pytest.mark.parametrize("status", [0, 7, 40, None, "ten", 10.0, True, [10]])
    def test_unknown(self, status: object) -> None:
        """An unknown status is a value; whether the run has ended is then the API's word."""
        assert run_of("run_success", status=status).is_complete
        assert run_of("run_running", status=status).in_progress
        assert not run_of("run_success", status=status).is_success

    def test_names(self) -> None:
        """Known statuses have names, unknown ones show their number."""
        names = [run_of("run_success", status=int(s)).status_name for s in DBTCloudRunStatus]
        assert names == ["Queued", "Starting", "Running", "Success", "Error", "Cancelled"]
        assert run_of("run_success", status=40).status_name == "Unknown status 40"


class TestRaiseOnFailure:
    """To a run what `load_info.raise_on_failed_jobs()` is to a load."""

    @pytest.mark.parametrize(
        ("name", "exception"),
        [
            ("run_error", DBTCloudRunFailedException),
            ("run_internal_error", DBTCloudRunFailedException),
            ("run_cancelled_by_user", DBTCloudRunCancelledException),
            ("run_cancelled_by_infrastructure", DBTCloudRunCancelledException),
            ("run_timed_out", DBTCloudRunTimedOutException),
        ],
    )
    def test_each_outcome_has_its_exception(
        self, name: str, exception: type[DBTCloudRunException]
    ) -> None:
        """Failed, cancelled and timed out are different, and carry the run and its message."""
        run = run_of(name)
        with pytest.raises(DBTCloudRunException) as caught:
            run.raise_on_failure()
        assert type(caught.value) is exception
        assert caught.value.run is run
        assert run["status_message"] in str(caught.value)
        assert run.url in str(caught.value)

    def test_unknown_end(self) -> None:
        """A run that ended with an unknown status has not succeeded."""
        with pytest.raises(DBTCloudRunOutcomeUnknownException, match="Unknown status 40"):
            run_of("run_success", status=40).raise_on_failure()

    @pytest.mark.parametrize("name", ["run_success", "run_queued", "run_running"])
    def test_no_failure(self, name: str) -> None:
        """A success raises nothing, nor does a run that goes on."""
        run_of(name).raise_on_failure()

    def test_exception_survives_pickling(self) -> None:
        """The exception crosses processes with its run, as dlt's do."""
        with pytest.raises(DBTCloudRunFailedException) as caught:
            failed_run().raise_on_failure()
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
        assert str(again) == str(caught.value)
        assert again.run.failed_nodes == caught.value.run.failed_nodes


class TestText:
    """`print(run)` tells a person what happened, and where to look."""

    def test_success(self) -> None:
        """Job, status, run and queue time, each step, the page."""
        assert str(run_of("run_success_related")) == (
            "dbt Cloud run 70403110257794 of job Nightly flights: Success, 00:01:50 after 00:00:04"
            " in the queue\n"
            "  1. Clone git repository: Success, 00:00:02\n"
            "  2. Create profile from connection Warehouse: Success, 00:00:02\n"
            "  3. Invoke dbt with `dbt deps`: Success, 00:00:02\n"
            "  4. Invoke dbt with `dbt build`: Success, 00:01:35\n"
            "Nodes: PASS=32 WARN=0 ERROR=0 SKIP=0\n"
            "See https://abc12.us1.dbt.com/deploy/70403103922125/projects/70403103926818/runs"
            "/70403110257794/"
        )

    def test_failure(self) -> None:
        """The failed step, the failed models and tests with their messages, the log's end."""
        text = str(failed_run())
        assert "dbt command failed\n" in text
        assert (
            "Failed: 2 node(s)\n  model.flights.punctuality (error, models/marts/punctuality.sql)\n"
            in text
        )
        assert "    Runtime Error in model punctuality (models/marts/punctuality.sql)\n" in text
        assert "Could not convert string '12,50' to DECIMAL(10,2)\n" in text
        assert "  test.flights.not_null_flights_carrier.1 (fail)\n    Got 3 results, conf" in text
        assert "End of the log of step 4\n" in text
        assert "3 of 32 ERROR creating sql table model marts.punctuality ... [ERROR in" in text
        assert "\x1b" not in text

    def test_bounded(self) -> None:
        """A thousand failed models and a log of megabytes make a text that one can read."""
        run = failed_run()
        run.nodes = (DBTCloudNode("model.x", "error", "m" * 10**6, 1.0),) * 1000
        run["run_steps"][3]["logs"] = "line\n" * 10**6 + "x" * 10**5
        assert len(str(run)) < 16_000
        assert "and 990 more" in str(run)

    @pytest.mark.parametrize("name", ["trigger", "run_queued", "run_cancelled_by_user"])
    def test_any_recorded_run(self, name: str) -> None:
        """Runs without steps, times or job have a text too."""
        assert str(run_of(name)).startswith("dbt Cloud run ")

    def test_nulls(self) -> None:
        """Nulls where the API may send them are no crash."""
        nothing = dict.fromkeys(sample("run_success")["data"])
        assert (
            str(DBTCloudRun({**nothing, "id": 5}))
            == "dbt Cloud run 5 of job unknown: Unknown status None"
        )
        assert log_tail({"logs": None}) == []


class TestDict:
    """A run is the API's dict."""

    def test_keys(self) -> None:
        """All keys of the API are there, nothing is added."""
        assert run_of("run_success") == sample("run_success")["data"]

    @pytest.mark.usefixtures("dlt_world")
    def test_it_loads(self) -> None:
        """`pipeline.run([run])` loads it as it does a dict."""
        pipeline = dlt.pipeline("runs", destination="duckdb", pipelines_dir="pipelines")
        pipeline.run([failed_run()], table_name="runs").raise_on_failed_jobs()
        with pipeline.sql_client() as sql:
            assert sql.execute_sql("select id, status from runs") == [(70403110257794, 20)]

    def test_travels(self) -> None:
        """A run that went through JSON is the run again, for people and for scripts."""
        run = failed_run()
        run.usual, run.load = UsualTimes(1, 2, 0.5), LoadedTables("p", None, ["1.2"], {"t": 3})
        again = DBTCloudRun.from_dict(json.loads(json.dumps(run.to_dict())))
        assert (again, vars(again)) == (run, vars(run))
        for render in (str, DBTCloudRun.to_html, DBTCloudRun.to_markdown, DBTCloudRun.to_dict):
            assert render(again) == render(run)

    @pytest.mark.parametrize(
        "value", [None, "x", 1, {}, [1], ["x", "x", "x"], [1, 2, 3, 4], [{}, {"x": 1}, None, "x"]]
    )
    def test_travels_with_nonsense(self, value: object) -> None:
        """What another has made of it is left out."""
        data = {**run_of("run_error"), "nodes": value, "usual": value, "load": value}
        run = DBTCloudRun.from_dict(data)
        assert str(run).startswith("dbt Cloud run ")
        assert run.to_markdown()
        assert run.to_html()


class TestNodes:
    """`run_results.json` of whatever schema version, as far as it goes."""

    def test_recorded(self) -> None:
        """Each entry becomes a node, and only errors and failed tests are failed ones."""
        found = list(nodes(sample("run_results")))
        assert [node.is_failed for node in found] == [False, True, True, False]
        assert found[3].message == ""

    @pytest.mark.parametrize(
        "content", [None, [], "x", {}, {"results": None}, {"results": [None, 1, "x"]}]
    )
    def test_unknown_schema(self, content: object) -> None:
        """What is no results file has no nodes."""
        assert list(nodes(content)) == []

    @pytest.mark.parametrize("value", [None, "x", {}, float("nan"), float("inf"), 10**400])
    def test_times_that_are_none(self, value: object) -> None:
        """A node whose time is no number, or no time, took none."""
        (node,) = nodes({"results": [{"unique_id": "model.a.b", "execution_time": value}]})
        assert node.execution_time == 0
        assert DBTCloudNode.from_dict({**node.to_dict(), "execution_time": value}) == node
