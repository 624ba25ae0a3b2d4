"""The commands of the first minutes, the logs and the reports, and advice that can be typed."""

import io as streams
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import responses
import tomlkit

from dlt_dbt_cloud._cli.answers import typed
from dlt_dbt_cloud.run.fields import REFUSALS
from tests.cli.test_cli import (
    JOBS_URL,
    RUN_URL,
    TRIGGER_URL,
    Shell,
    bare_shell,
    listed,
    shell,
    triggered,
)
from tests.utils import (
    HOST,
    JOB_ID,
    RUN_ID,
    TOKEN,
    answer_trigger,
    bodies,
    sample,
    sample_run,
)

__all__ = ["bare_shell", "shell", "triggered"]

TWO_JOBS = [{"id": 1, "name": "Hourly"}, {"id": 2, "name": "Nightly"}]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Types answers."""

    def type_(*lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", streams.StringIO("".join(f"{it}\n" for it in lines)))

    return type_


@pytest.mark.usefixtures("dlt_world")
class TestInit:
    """`init` writes the settings."""

    @pytest.fixture(autouse=True)
    def account(self, api: responses.RequestsMock) -> None:
        """An account with two jobs."""
        api.get(JOBS_URL, json=listed("jobs", *TWO_JOBS))

    def test_asks(self, bare_shell: Shell, answers: Callable[..., None], dlt_world: Path) -> None:
        """Host, account, token and job are asked for; the token goes where only its owner reads."""
        answers(HOST, "70403103922125", TOKEN, "Nightly")
        assert bare_shell("init") == 0
        config = tomlkit.parse((dlt_world / ".dlt" / "config.toml").read_text()).unwrap()
        secrets = dlt_world / ".dlt" / "secrets.toml"
        assert config == {
            "dbt_cloud": {"base_api_url": HOST, "account_id": "70403103922125", "job_id": "2"}
        }
        assert tomlkit.parse(secrets.read_text()).unwrap() == {"dbt_cloud": {"api_token": TOKEN}}
        assert secrets.stat().st_mode & 0o077 == 0
        assert "Next: dlt dbt-cloud check" in bare_shell.out

    def test_takes(
        self, bare_shell: Shell, answers: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is passed, and the token in the environment, is not asked for."""
        answers()
        monkeypatch.setenv("DBT_CLOUD__API_TOKEN", TOKEN)
        options = ["--base-api-url", HOST, "--account-id", "70403103922125"]
        assert bare_shell("init", "1", *options, "--json") == 0
        assert bare_shell.json["job_id"] == "1"

    def test_leaves_the_rest(
        self, bare_shell: Shell, answers: Callable[..., None], dlt_world: Path
    ) -> None:
        """Comments, order and other settings stay as they are, and so does the file's mode."""
        path = dlt_world / ".dlt" / "secrets.toml"
        before = '# mine\n[x]\na = 1  # one\n\n[dbt_cloud]\n# old\nschema_override = "ci"\n'
        path.write_text(before)
        path.chmod(0o640)
        answers(HOST, "70403103922125", TOKEN, "1")
        assert bare_shell("init") == 0
        assert path.read_text() == f'{before}api_token = "{TOKEN}"\n'
        assert path.stat().st_mode & 0o777 == 0o640

    def test_twice(self, bare_shell: Shell, answers: Callable[..., None], dlt_world: Path) -> None:
        """Once more changes the settings, and repeats none."""
        for job in ("1", "2"):
            answers(HOST, "70403103922125", TOKEN, job)
            assert bare_shell("init") == 0
        assert (dlt_world / ".dlt" / "config.toml").read_text().count("job_id") == 1

    @pytest.mark.parametrize("text", ["dbt_cloud = 1\n", "[[[", "x"])
    def test_broken_file(
        self, bare_shell: Shell, answers: Callable[..., None], dlt_world: Path, text: str
    ) -> None:
        """A file that can't be read is left as it is."""
        path = dlt_world / ".dlt" / "secrets.toml"
        path.write_text(text)
        answers(HOST, "70403103922125", TOKEN, "1")
        assert bare_shell("init") == 2
        assert path.read_text() == text

    @pytest.mark.parametrize(
        ("lines", "told"),
        [
            ((), "No answer"),
            ((HOST, "70403103922125", TOKEN, "Weekly"), "No jobs are named 'Weekly'"),
        ],
    )
    def test_no_answer(
        self,
        bare_shell: Shell,
        answers: Callable[..., None],
        dlt_world: Path,
        lines: tuple[str, ...],
        told: str,
    ) -> None:
        """Without an answer, or with a wrong one, nothing is written."""
        answers(*lines)
        assert bare_shell("init") == 2
        assert told in bare_shell.err
        assert not list((dlt_world / ".dlt").iterdir())


def test_jobs(shell: Shell, api: responses.RequestsMock) -> None:
    """`jobs` shows the jobs in columns, or as JSON."""
    api.get(JOBS_URL, json=listed("jobs", *TWO_JOBS))
    assert shell("jobs") == 0
    assert [line.split()[:2] for line in shell.out.splitlines()] == [
        ["id", "name"],
        ["1", "Hourly"],
        ["2", "Nightly"],
    ]
    assert shell("jobs", "--json") == 0
    assert [job["name"] for job in shell.json] == ["Hourly", "Nightly"]


class TestLogs:
    """`logs` shows what dbt has written."""

    def test_all(self, shell: Shell, api: responses.RequestsMock) -> None:
        """Each step with its log, or one of them."""
        api.get(RUN_URL, json=sample("run_error_related"))
        assert shell("logs", str(RUN_ID)) == 0
        assert "4. Invoke dbt with `dbt build`\n10:00:20  Running with dbt" in shell.out
        assert "1. Clone git repository" in shell.out
        assert shell("logs", str(RUN_ID), "--step", "4") == 0
        assert "Clone git repository" not in shell.out
        assert shell("logs", str(RUN_ID), "--step", "9") == 2
        assert "has no step 9" in shell.err

    def test_follow(self, shell: Shell, api: responses.RequestsMock) -> None:
        """With `--follow` lines come as they are written, each once, and nothing else comes."""
        step = {"index": 1, "name": "Build", "status": 3}
        for status, logs in ((3, "a\nb"), (3, "a\nb\nc\n"), (10, "a\nb\nc\nd\n")):
            name = "run_running" if status == 3 else "run_success"
            api.get(RUN_URL, json=sample_run(name, run_steps=[{**step, "logs": logs}]))
        assert shell("logs", str(RUN_ID), "--follow") == 0
        assert shell.out == "1. Build\n  a\n  b\n  c\n  d\n"


class TestReport:
    """`report` writes a page about a run."""

    def test_page(self, shell: Shell, api: responses.RequestsMock, dlt_world: Path) -> None:
        """A page in a file, or on standard output, also as Markdown."""
        api.get(RUN_URL, json=sample("run_error_related"))
        api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))
        assert shell("report", str(RUN_ID), "-o", "run.html") == 0
        assert "punctuality" in (dlt_world / "run.html").read_text()
        assert shell("report", str(RUN_ID)) == 0
        assert shell.out.startswith("<!DOCTYPE html>")
        assert shell("report", str(RUN_ID), "--format", "markdown") == 0
        assert shell.out.startswith("### ❌")

    def test_no_folder(self, shell: Shell, api: responses.RequestsMock) -> None:
        """A file that can't be written is a mistake of the caller."""
        api.get(RUN_URL, json=sample("run_success_related"))
        assert shell("report", str(RUN_ID), "-o", "no/such/run.html") == 2
        assert "Can't write the report" in shell.err


class TestAdvice:
    """What a command advises can be typed."""

    def test_no_run(self, bare_shell: Shell, secrets_toml: Callable[[str], None]) -> None:
        """A missing id points to the command that lists runs."""
        secrets_toml(f'[dbt_cloud]\napi_token = "{TOKEN}"\naccount_id = 1\n')
        for command in ("status", "cancel", "retry", "logs", "report"):
            assert bare_shell(command) == 2
            assert "dlt dbt-cloud runs" in bare_shell.err

    def test_reattach(self, shell: Shell, triggered: responses.RequestsMock) -> None:
        """A run that is left says how to come back to it, not in Python."""
        triggered.get(RUN_URL, json=sample_run("run_running", id=RUN_ID))
        assert shell("run", "--wait-timeout", "5") == 4
        assert f"dlt dbt-cloud status {RUN_ID}" in shell.err
        assert "get_dbt_cloud_run_status" not in shell.err

    def test_missing_settings(self, bare_shell: Shell) -> None:
        """Missing settings are told at once, and point to `init`."""
        assert bare_shell("run") == 2
        assert "`api_token`, `account_id` and `job_id` are missing" in bare_shell.err
        assert "dlt dbt-cloud init" in bare_shell.err
        assert bare_shell("cancel", "1") == 2
        assert "`api_token` and `account_id` are missing" in bare_shell.err

    def test_two_jobs(self) -> None:
        """Twins among the jobs are told apart by options."""
        text = "2 jobs are named 'x': set `project_id`, `environment_id` or `job_id`."
        assert "--project-id" in typed(text)

    def test_dead_host(self, shell: Shell, triggered: responses.RequestsMock) -> None:
        """A dead host says for how long it is tried, and that `check` tells more."""
        triggered.get(RUN_URL, status=503)
        assert shell("status", "--outage-timeout", "60") == 5
        assert re.search(r"Retrying in 1 s, for up to 60 s", shell.err)
        assert shell.err.splitlines()[-1].endswith("dlt dbt-cloud check")

    @pytest.mark.parametrize("reason", REFUSALS)
    def test_refusals(self, shell: Shell, api: responses.RequestsMock, reason: str) -> None:
        """Each reason why a run can't be retried is explained."""
        refused = {"can_retry": False, "retry_not_supported_reason": reason}
        api.get(RUN_URL, json=sample_run("run_error", id=RUN_ID, **refused))
        assert shell("retry") == 2
        assert f"{reason}, {REFUSALS[reason]}" in shell.err
        assert all(call.request.method == "GET" for call in api.calls)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (['["dbt seed", "dbt run"]'], ["dbt seed", "dbt run"]),
        (["dbt seed", "dbt run"], ["dbt seed", "dbt run"]),
        (["dbt run --vars {a: [1]}"], ["dbt run --vars {a: [1]}"]),
    ],
)
def test_steps_override(
    shell: Shell, api: responses.RequestsMock, given: list[str], sent: list[str]
) -> None:
    """`--steps-override` takes what its help shows: a list, or one step each time."""
    api.add_callback("POST", TRIGGER_URL, answer_trigger(id=RUN_ID, job_definition_id=JOB_ID))
    options = [it for step in given for it in ("--steps-override", step)]
    assert shell("run", "--no-wait", *options) == 0
    assert bodies(api)[0]["steps_override"] == sent


@pytest.mark.parametrize("text", ["[1]", "[dbt", '["a", 2]'])
def test_no_steps(shell: Shell, text: str) -> None:
    """A list that is none is wrong usage."""
    assert shell("run", "--steps-override", text) == 2
    assert "is not a list such as" in shell.err


def test_json_of_a_failure(shell: Shell, triggered: responses.RequestsMock) -> None:
    """Scripts get all nodes that failed, with file and line, the counts and the errors."""
    triggered.get(RUN_URL, json=sample_run("run_error_related", id=RUN_ID))
    triggered.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))
    assert shell("run", "--json") == 1
    assert shell.json["failed_nodes"][0]["file"] == "models/marts/punctuality.sql"
    assert shell.json["counts"] == {"PASS": 1, "WARN": 0, "ERROR": 2, "SKIP": 1}
    assert shell.json["errors"] == []


def test_logs_while_it_runs(shell: Shell, triggered: responses.RequestsMock) -> None:
    """`run --logs` shows the logs on standard error, the outcome on standard output."""
    step = {"index": 1, "name": "Build", "status": 3, "logs": "10:00 one\n"}
    triggered.get(RUN_URL, json=sample_run("run_running", id=RUN_ID, run_steps=[step]))
    triggered.get(RUN_URL, json=sample_run("run_success", id=RUN_ID, run_steps=[step]))
    assert shell("run", "--logs") == 0
    assert shell.err.count("10:00 one") == 1
    assert "10:00 one" not in shell.out
