"""The words about a run, and what its three renderers make of them."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud import DBTCloudNode, DBTCloudRun
from dlt_dbt_cloud._report import nodes
from dlt_dbt_cloud.run import LoadedTables
from dlt_dbt_cloud.run.log import error_in, places_in
from dlt_dbt_cloud.run.node import line_in
from tests.utils import SAMPLES, sample

LOGS = SAMPLES / "dbt_logs"
"""Recorded from dbt Core 1.11 and git. Paths of the machine are shortened."""

STEPS = {"clone": "Clone git repository", "deps": "Invoke dbt with `dbt deps`"}

ERRORS = {
    "clone": ("clone", "", "fatal: repository '/no/such/repo.git' does not exist"),
    "connection": ("connection", "", 'IO Error: Cannot open file "/no/such/dir/x.duckdb"'),
    "deps": ("deps", "", "No dbt_project.yml found at expected path"),
    "dup": ("parse", "models/a/doubled.sql", 'two models with the name "doubled"'),
    "envvar": ("parse", "", "Env var required but not provided: 'NOT_SET'"),
    "jinja": ("parse", "models/doubled.sql:1", "unexpected '}'"),
    "missingref": ("parse", "models/doubled.sql", "depends on a node named 'nope'"),
    "noprofile": ("profile", "", "Could not find profile named 'tiny'"),
    "profile": ("profile", "", "Could not find adapter type snowflake!"),
    "usage": ("usage", "", "No such command 'bild'. Did you mean 'build'?"),
    "usage2": ("usage", "", "No such option '--selekt'."),
    "yamlerr": ("parse", "models.yml:4", "Syntax error near line 4"),
}
"""Kind, place and message of failures before the first node, by the name of the recorded log."""


def step_with(log: str, status: int = 20) -> dict[str, Any]:
    """Returns a step with a recorded log."""
    name = STEPS.get(log, "Invoke dbt with `dbt build`")
    return {
        "index": 4,
        "name": name,
        "status": status,
        "status_humanized": "Error",
        "duration": "00:00:05",
        "logs": (LOGS / f"{log}.log").read_text(),
    }


def failed_before(*logs: str) -> DBTCloudRun:
    """Returns a failed run whose steps have these logs."""
    data = {**sample("run_error_related")["data"], "run_steps": [step_with(it) for it in logs]}
    return DBTCloudRun(data)


def mixed_run(**changes: Any) -> DBTCloudRun:
    """Returns a failed run with nodes of all kinds, recorded from dbt Core."""
    run = DBTCloudRun({**failed_before("failing"), **changes})
    results = json.loads((LOGS / "failing.json").read_text())
    run.nodes = tuple(nodes(results, places_in(run.steps[0])))
    return run


def large_run() -> DBTCloudRun:
    """Returns a run with 3,000 nodes, of which 300 failed with long messages."""
    run = mixed_run()
    ok, bad = run.nodes[0], run.failed_nodes[0]._replace(message="<b>no</b>\n" * 1000)
    run.nodes = (bad,) * 300 + (ok,) * 2700
    return run


class TestError:
    """Why a run failed before its first node, as data."""

    @pytest.mark.parametrize("log", ERRORS)
    def test_recorded(self, log: str) -> None:
        """Kind, file, line and message come out of what dbt and git have written."""
        kind, place, message = ERRORS[log]
        error = failed_before(log).error
        assert error
        assert (error.kind, error.place) == (kind, place)
        assert message in error.message
        assert not re.search(r"^\d\d:\d\d:\d\d|Traceback", error.message)

    def test_all_logs_are_read(self) -> None:
        """Each recorded log is one of a failure before the first node, or of failed nodes."""
        assert {path.stem for path in LOGS.glob("*.log")} == {*ERRORS, "failing", "macro"}

    def test_told(self) -> None:
        """Text, exception, page and Markdown have kind, place and message."""
        run = failed_before("jinja")
        with pytest.raises(Exception, match=r"first node: parse in models/doubled\.sql:1"):
            run.raise_on_failure()
        for text in (str(run), run.to_html(), run.to_markdown()):
            assert "models/doubled.sql:1" in text
            assert "unexpected" in text

    def test_adapter(self) -> None:
        """An adapter that is missing says what to install."""
        assert "pip install dbt-snowflake" in str(failed_before("profile"))

    def test_several_steps(self) -> None:
        """Several failed steps are all told."""
        run = failed_before("deps", "jinja")
        assert [error.kind for error in run.errors] == ["deps", "parse"]
        assert "No dbt_project.yml" in str(run)
        assert "unexpected '}'" in str(run)

    def test_platform(self) -> None:
        """A failure of dbt Cloud itself before any step is its own message."""
        error = DBTCloudRun(sample("run_internal_error")["data"]).error
        assert error
        assert (error.kind, error.message) == ("platform", "Internal error")

    @pytest.mark.parametrize("log", ["failing", "macro"])
    def test_later(self, log: str) -> None:
        """A failure of nodes is none before the first."""
        assert error_in(step_with(log)) is None
        assert DBTCloudRun(sample("run_success_related")["data"]).error is None

    def test_fusion(self) -> None:
        """Dbt Fusion points at file and line with an arrow."""
        log = "error: dbt0209: No function X\n  --> models/marts/a.sql:5:8\n"
        error = error_in({"name": "Invoke dbt with `dbt build`", "logs": log})
        assert error
        assert (error.kind, error.place) == ("parse", "models/marts/a.sql:5")

    @given(st.text())
    def test_any_log(self, log: str) -> None:
        """No log makes reading it fail, and what is read is short."""
        error = error_in({"name": "x", "logs": log})
        assert error is None or len(error.message) <= 1000
        assert places_in({"logs": log}) is not None


class TestNodes:
    """All nodes of a run, from `run_results.json` and the log."""

    def test_places(self) -> None:
        """A failed or warned node knows its file, its line and its compiled code."""
        found = {node.name: node for node in mixed_run().nodes}
        assert found["bad"].place == "models/bad.sql:2"
        assert found["bad"].compiled_path == "target/compiled/tiny/models/bad.sql"
        test = found["accepted_values_doubled_doubled__3"]
        assert (test.resource_type, test.place, test.failures) == ("test", "models/models.yml", 1)
        assert found["accepted_values_numbers_id__9"].is_warned

    def test_counts(self) -> None:
        """They are counted as dbt counts them at the end of its log."""
        run = mixed_run()
        assert run.counts == {"PASS": 4, "WARN": 1, "ERROR": 3, "SKIP": 1}
        run.nodes = ()
        assert run.counts == {"PASS": 4, "WARN": 1, "ERROR": 3, "SKIP": 1}  # out of the log
        assert "Nodes: PASS=4 WARN=1 ERROR=3 SKIP=1" in str(run)

    def test_slowest(self) -> None:
        """The slowest come first, those that took no time are not among them."""
        seconds = [node.execution_time for node in mixed_run().slowest_nodes]
        assert seconds == sorted(seconds, reverse=True)
        assert min(seconds) > 0

    def test_line(self) -> None:
        """The line that a database quotes is found in the compiled code, if it is there once."""
        message = "Error in model a (models/a.sql)\n\n  LINE 9:   b,\n            ^"
        assert line_in(message, "select\n  b,\n  c") == 2
        assert line_in(message, "select\n  b,\n  b,") is None
        assert line_in(message, None) is None

    def test_released_shape(self) -> None:
        """The four fields of 0.1 are still the first, and all that must be given."""
        assert DBTCloudNode("model.a.b", "error", "no", 1.0).is_failed


class TestWhole:
    """What all renderers say of a run."""

    @pytest.mark.parametrize("render", [str, DBTCloudRun.to_html, DBTCloudRun.to_markdown])
    def test_same_facts(self, render: Any) -> None:
        """Outcome, counts, failed and warned nodes with their places are in each of them."""
        text = html.unescape(re.sub(r"\\(.)", r"\1", render(mixed_run())))
        for fact in (
            *("dbt Cloud run 70403110257794 of job Nightly flights", "Error", "PASS=4 WARN=1"),
            *("models/bad.sql:2", "Conversion Error: Could not convert string", "models.yml"),
            *("Got 1 result, configured to warn if != 0", "4. Invoke dbt with "),
        ):
            assert fact in text, fact

    def test_repr(self) -> None:
        """`repr(run)` is one short line."""
        assert re.fullmatch(
            r"<dbt Cloud run \d+ of job Nightly flights: Error, .{,60}>", repr(mixed_run())
        )

    def test_who(self) -> None:
        """Who triggered and who cancelled the run is told, if the API tells."""
        event = {"actor": {"id": "1", "type": "user", "name": "Ada L."}}
        audit = {"trigger": event, "cancellation": {"actor": {"name": "Bob"}}}
        run = DBTCloudRun({**sample("run_cancelled_by_user")["data"], "audit": audit})
        assert (run.triggered_by, run.cancelled_by) == ("Ada L.", "Bob")
        assert "Cancelled by Bob\nTriggered by Ada L." in str(run)

    def test_load(self) -> None:
        """The load of a run is on its page, with its tables and rows."""
        run = mixed_run()
        run.load = LoadedTables("flights", "nyc", ("1.2",), {"flights": 336776})
        assert "336,776" in run.to_html()
        assert "flights 336,776" in run.to_markdown()

    @pytest.mark.parametrize("name", ["trigger", "run_queued", "run_cancelled_by_user"])
    def test_nothing_known(self, name: str) -> None:
        """A run without steps, nodes or times has a page too."""
        run = DBTCloudRun(sample(name)["data"])
        assert "<h1>dbt Cloud run " in run.to_html()
        assert run.to_markdown()
        assert run._repr_html_()

    def test_large(self) -> None:
        """A run with 3,000 nodes has short text and Markdown, and a table below 60 kB."""
        run = large_run()
        assert len(run._repr_html_().encode()) < 60_000
        assert len(run.to_markdown()) < 20_000
        assert len(str(run)) < 20_000
        assert "and 290 more" in str(run)
        assert run.to_html().count("<tr>") > 3000

    def test_saved(self, tmp_path: Path) -> None:
        """A report is a page, or Markdown if its name says so."""
        run = mixed_run()
        assert run.save_report(tmp_path / "run.html").read_text() == run.to_html()
        assert run.save_report(str(tmp_path / "run.md")).read_text() == run.to_markdown()


class TestEscaping:
    """Texts of a server are texts on a page, whatever is in them."""

    def test_alone(self) -> None:
        """A page has no script, and nothing on it is requested from anywhere."""
        page = mixed_run().to_html()
        assert "default-src 'none'" in html.unescape(page)
        assert not re.search(r"<script|<img|<iframe|src=|@import|url\(", page)

    @given(st.text(alphabet="<>&\"'`javascript:onload=/\x00\x1b[]()|\n"))
    def test_any_text(self, text: str) -> None:
        """No text of a server opens an element, an attribute or a link to a script."""
        run = mixed_run(status_message=text, href=f"javascript:{text}", job={"name": text})
        run.nodes = (run.failed_nodes[0]._replace(unique_id=text, message=text, file=text),)
        known = set(re.findall(r"<(\w+)", mixed_run().to_html()))
        for written in (run.to_html(), run._repr_html_()):
            assert set(re.findall(r"<(\w+)", written)) <= known
            assert not re.search(r'href="(?!http)', written)
            assert "\x1b" not in written
        assert "](<javascript" not in run.to_markdown()
