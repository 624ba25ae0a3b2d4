"""What GitHub Actions and Slack are told of a run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import responses
from hypothesis import example, given
from hypothesis import strategies as st

from dlt_dbt_cloud import DBTCloudRun, InvalidCredentialsException
from dlt_dbt_cloud._report.notices import annotations, slack_text, write_summary
from tests.report.test_wording import failed_before, large_run, mixed_run
from tests.utils import ACCOUNT, JOB_ID, RUN_ID, answer_trigger, sample

ACTIONS = {"GITHUB_ACTIONS": "true"}
HOOK = "https://hooks.slack.com/services/T000/B000/s3cr3t"
RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"


def fails(api: responses.RequestsMock) -> None:
    """Lets the API run the job, which fails."""
    api.add_callback("POST", f"{ACCOUNT}/jobs/{JOB_ID}/run/", answer_trigger(id=RUN_ID))
    api.get(RUN_URL, json=sample("run_error_related"))
    api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))


class TestGitHub:
    """Annotations in a pull request, and the summary of a step."""

    def test_annotations(self) -> None:
        """Each failed node is an error at its file and line."""
        first, *others = annotations(mixed_run(), ACTIONS)
        assert first.startswith("::error file=models/bad.sql,line=2,title=bad::Runtime Error in ")
        assert "%0A  Conversion Error: Could not convert" in first
        assert len(others) == 2

    def test_before_the_first_node(self) -> None:
        """So is a failure before the first node."""
        (line,) = annotations(failed_before("jinja"), ACTIONS)
        assert line.startswith("::error file=models/doubled.sql,line=1,title=dbt parse::")

    def test_project_in_a_folder(self, tmp_path: Path) -> None:
        """A file is named from the root of the repository, also if the project is in a folder."""
        path = tmp_path / "dbt" / "models" / "bad.sql"
        path.parent.mkdir(parents=True)
        path.touch()
        environment = {**ACTIONS, "GITHUB_WORKSPACE": str(tmp_path)}
        assert "file=dbt/models/bad.sql," in next(annotations(mixed_run(), environment))

    @given(st.text(), st.text())
    @example("", ".")
    def test_injection(self, message: str, file: str) -> None:
        """No text of a server is a command of its own, or another property."""
        run = mixed_run()
        run.nodes = (run.failed_nodes[0]._replace(message=message, file=file),)
        (line,) = annotations(run, ACTIONS)
        assert len(line.splitlines()) == 1 or not re.search(r"[\r\n]", line)
        properties = line.split("::")[1].removeprefix("error ").split(",")
        assert {it.partition("=")[0] for it in properties} <= {"file", "line", "title"}

    def test_elsewhere(self) -> None:
        """Elsewhere, and for a success, nothing is written."""
        assert not list(annotations(mixed_run(), {}))
        assert not list(annotations(DBTCloudRun(sample("run_success")["data"]), ACTIONS))
        write_summary(mixed_run(), {})

    def test_few(self) -> None:
        """GitHub shows ten annotations, so there are no more."""
        assert len(list(annotations(large_run(), ACTIONS))) == 10

    def test_in_a_run(
        self,
        run_with: Callable[..., DBTCloudRun],
        api: responses.RequestsMock,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        """A call tells both by itself, once, and after what the summary has already."""
        summary = tmp_path / "summary.md"
        summary.write_text("Before.\n")
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
        fails(api)
        run = run_with()
        assert summary.read_text() == f"Before.\n{run.to_markdown()}\n"
        assert capsys.readouterr().err.count("::error ") == 2

    def test_no_summary(
        self,
        run_with: Callable[..., DBTCloudRun],
        api: responses.RequestsMock,
        monkeypatch: pytest.MonkeyPatch,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """A summary that can't be written changes nothing about the run."""
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/no/such/folder/summary.md")
        fails(api)
        assert run_with().is_error
        assert "Couldn't report run" in log.text


class TestSlack:
    """A short message on failure, through dlt's own hook."""

    def test_text(self) -> None:
        """Link, outcome and the first failed nodes, in Slack's own escaping."""
        run = mixed_run(job={"name": "<&>"})
        text = slack_text(run)
        assert text.startswith(f"<{run.url}|dbt Cloud run {run.id} of job &lt;&amp;&gt;>: *Error*")
        assert "• *bad* Conversion Error: Could not convert" in text
        assert "• *parse* unexpected" in slack_text(failed_before("jinja"))
        assert len(slack_text(large_run())) < 3000

    def test_sent(
        self,
        run_with: Callable[..., DBTCloudRun],
        api: responses.RequestsMock,
        secrets_toml: Callable[[str], None],
    ) -> None:
        """`notify=True` sends it once the run has failed."""
        secrets_toml(f'[runtime]\nslack_incoming_hook = "{HOOK}"\n')
        fails(api)
        api.post(HOOK)
        run = run_with(notify=True)
        (sent,) = (call.request for call in api.calls if call.request.url == HOOK)
        assert slack_text(run).splitlines()[0].split("|")[0] in str(sent.body)

    def test_refused(
        self,
        run_with: Callable[..., DBTCloudRun],
        api: responses.RequestsMock,
        secrets_toml: Callable[[str], None],
        log: pytest.LogCaptureFixture,
    ) -> None:
        """A hook that refuses changes nothing about the run, and its secret stays one."""
        secrets_toml(f'[runtime]\nslack_incoming_hook = "{HOOK}"\n')
        fails(api)
        api.post(HOOK, status=500)
        assert run_with(notify=True).is_error
        assert "Couldn't send the outcome" in log.text
        assert "s3cr3t" not in log.text

    def test_missing(self, run_with: Callable[..., Any], api: responses.RequestsMock) -> None:
        """Without a hook the call fails before it triggers anything, with the TOML to write."""
        with pytest.raises(InvalidCredentialsException, match="slack_incoming_hook = "):
            run_with(notify=True)
        assert not api.calls
