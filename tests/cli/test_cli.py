"""`dlt dbt-cloud`: what it asks of the API, what it prints, and its exit codes."""

import argparse
import ast
import json
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigurationValueError
from dlt.common.configuration.plugins import PluginContext
from dlt.common.runtime import signals

from dlt_dbt_cloud import DBTCloudConfiguration, DBTCloudRunKeyException
from dlt_dbt_cloud.__main__ import main
from dlt_dbt_cloud._cli import answers as commands
from dlt_dbt_cloud._cli import parser as cli
from dlt_dbt_cloud.configuration import TRIGGER_FIELDS, setting_docs
from dlt_dbt_cloud.plugin import DBTCloudCommand
from tests.utils import (
    ACCOUNT,
    HOST,
    JOB_ID,
    RUN_ID,
    TOKEN,
    JumpingIO,
    answer_trigger,
    bodies,
    sample,
    sample_run,
)

RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"
FAILED_ID = RUN_ID - 1
RUNS_URL = f"{ACCOUNT}/runs/"
JOBS_URL = f"{ACCOUNT}/jobs/"
TRIGGER_URL = f"{ACCOUNT}/jobs/{JOB_ID}/run/"
ROOT = Path(__file__).parents[2]


class Shell:
    """Runs commands in this process, on a clock that jumps."""

    def __init__(self, capsys: pytest.CaptureFixture[str], io: JumpingIO) -> None:
        self.capsys = capsys
        self.io = io
        self.out = self.err = ""

    def __call__(self, *argv: str) -> int:
        """Returns the exit code of a command. What it printed is in `out` and `err`."""
        try:
            return main(argv, io=self.io)
        except SystemExit as exit_:
            return int(exit_.code or 0)
        finally:
            self.out, self.err = self.capsys.readouterr()

    @property
    def json(self) -> Any:
        """What was printed, which must be one JSON document and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def bare_shell(capsys: pytest.CaptureFixture[str], io: JumpingIO) -> Iterator[Shell]:
    """Runs commands without any settings. No command ever prints the token."""
    shell = Shell(capsys, io)
    yield shell
    assert TOKEN not in shell.out + shell.err


@pytest.fixture
def shell(bare_shell: Shell, secrets_toml: Callable[[str], None]) -> Shell:
    """Runs commands that find an account and a job in `secrets.toml`."""
    secrets_toml(
        f'[dbt_cloud]\napi_token = "{TOKEN}"\nbase_api_url = "{HOST}"\n'
        f"account_id = 70403103922125\njob_id = {JOB_ID}\nrun_id = {RUN_ID}\n"
    )
    return bare_shell


@pytest.fixture
def triggered(api: responses.RequestsMock) -> responses.RequestsMock:
    """An API that triggers a queued run, also as the retry of a failed one."""
    created = answer_trigger("run_queued", id=RUN_ID, job_definition_id=JOB_ID)
    api.add_callback(responses.POST, TRIGGER_URL, created)
    failed = f"{RUNS_URL}{FAILED_ID}/"
    api.get(failed, json=sample_run("run_error", id=FAILED_ID, can_retry=True))
    queued = sample_run("run_queued", id=RUN_ID, retrying_run_id=FAILED_ID)
    api.post(f"{failed}retry/", json=queued)
    return api


def arguments(command: str) -> list[str]:
    """Returns a command for a run that is followed, itself or as a retry."""
    return [command, str(FAILED_ID)] if command == "retry" else [command]


def listed(name: str, *changes: dict[str, Any]) -> dict[str, Any]:
    """Returns a recorded list, of one page and with the first item in variations."""
    body = sample(name)
    data = [{**body["data"][0], **change} for change in changes]
    return {**body, "data": data, "extra": {"pagination": {"total_count": len(data)}}}


def options_of(command: str) -> dict[str, argparse.Action]:
    """Returns the options of a command, by what they set."""
    parser = argparse.ArgumentParser()
    cli.configure_parser(parser)
    (commands,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {action.dest: action for action in commands.choices[command]._actions}


# Help and usage


def test_each_command_has_help(bare_shell: Shell) -> None:
    """`--help` says what there is, and exits with 0."""
    assert bare_shell("--help") == 0
    for command in ("check", "run", "status", "cancel", "retry", "runs", "local"):
        assert re.search(rf"^    {command} +[A-Z]", bare_shell.out, re.MULTILINE)
    for command in cli.COMMANDS:
        assert bare_shell(command, "--help") == 0
        assert "--json" in bare_shell.out


def test_each_exit_code_is_documented() -> None:
    """The description of the command tells all exit codes."""
    for code in commands.ExitCode:
        assert f"- {code.value}" in DBTCloudCommand.description


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["bogus"],
        ["run", "--schema-overide", "x"],
        ["run", "--threads-override", "four"],
        ["runs", "--limit", "0"],
        ["run", "--api-token", "x"],
    ],
)
def test_wrong_usage_is_2(bare_shell: Shell, argv: list[str]) -> None:
    """What the parser does not know exits with 2, and prints nothing but the usage."""
    assert bare_shell(*argv) == 2
    assert bare_shell.out == ""
    assert "usage:" in bare_shell.err


def test_each_override_is_an_option() -> None:
    """`run` has an option for each field of the trigger request, documented where the field is."""
    options = options_of("run")
    for name in TRIGGER_FIELDS:
        assert options[name].option_strings[0] == f"--{name.replace('_', '-')}"
    assert options["git_sha"].help == "Commit to check out. Wins over `git_branch`."


def test_each_setting_is_documented() -> None:
    """Each setting has its help, all but the token can be passed."""
    fields = set(DBTCloudConfiguration.get_resolvable_fields())
    assert set(setting_docs()) == fields
    options = {dest for command in cli.COMMANDS for dest in options_of(command)}
    assert fields - options == {"api_token", "job_id", "job_name", "raise_on_failure"}


def test_help_does_without_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help does not depend on our source."""

    def no_source(_: object) -> str:
        raise OSError

    monkeypatch.setattr("inspect.getsource", no_source)
    assert options_of("run")["git_sha"].help == setting_docs()["git_sha"]


# Run


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("run_success", 0),
        ("run_error", 1),
        ("run_cancelled_by_user", 3),
        ("run_timed_out", 4),
    ],
)
@pytest.mark.parametrize("command", ["run", "status", "retry"])
def test_the_outcome_is_the_exit_code(
    shell: Shell, triggered: responses.RequestsMock, command: str, name: str, code: int
) -> None:
    """Each outcome has its exit code, whichever command has waited for it."""
    triggered.get(RUN_URL, json=sample_run("run_running", id=RUN_ID, can_retry=True))
    triggered.get(RUN_URL, json=sample_run("run_running", id=RUN_ID, can_retry=True))
    triggered.get(RUN_URL, json=sample_run(name, id=RUN_ID))
    assert shell(*arguments(command)) == code
    assert shell.out.startswith(f"dbt Cloud run {RUN_ID} of job")


def test_an_unknown_status_is_5(shell: Shell, api: responses.RequestsMock) -> None:
    """A run that ended with a status of a later API has an unknown outcome."""
    api.get(RUN_URL, json=sample_run("run_success", status=70, is_complete=True))
    assert shell("status") == 5


def test_the_outcome_is_told_once(shell: Shell, triggered: responses.RequestsMock) -> None:
    """The result is on stdout, changes of the status are on stderr, nothing is on both."""
    triggered.get(RUN_URL, json=sample_run("run_running", id=RUN_ID))
    triggered.get(RUN_URL, json=sample_run("run_error", id=RUN_ID))
    shell("run")
    assert f"dbt Cloud run {RUN_ID}: Running" in shell.err
    assert shell.out.splitlines()[0] not in shell.err
    assert "dbt command failed" not in shell.err


def test_raise_on_failure_in_the_settings_changes_nothing(
    shell: Shell, triggered: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting for scripts does not take the answer away."""
    monkeypatch.setenv("DBT_CLOUD__RAISE_ON_FAILURE", "true")
    triggered.get(RUN_URL, json=sample_run("run_error", id=RUN_ID))
    assert shell("run") == 1
    assert shell.out.startswith(f"dbt Cloud run {RUN_ID} of job")


def test_run_sends_the_overrides(shell: Shell, triggered: responses.RequestsMock) -> None:
    """Options become fields of the trigger request, with their types."""
    argv = ["--cause", "by hand", "--threads-override", "8", "--no-generate-docs-override"]
    steps = ["--steps-override", "dbt seed", "--steps-override", "dbt run"]
    assert shell("run", *argv, *steps, "--no-wait") == 0
    (body,) = bodies(triggered)
    assert body.pop("cause").endswith("] by hand")
    assert body == {
        "threads_override": 8,
        "generate_docs_override": False,
        "steps_override": ["dbt seed", "dbt run"],
    }


@pytest.mark.parametrize("command", ["run", "retry"])
def test_no_wait_does_not_look(
    shell: Shell, triggered: responses.RequestsMock, command: str
) -> None:
    """With `--no-wait` what was asked for is done when the run is there: 0."""
    triggered.get(RUN_URL, json=sample_run("run_error", id=RUN_ID, can_retry=True))
    assert shell(*arguments(command), "--no-wait") == 0
    assert "Queued" in shell.out
    assert sum(shell.io.sleeps) == 0


def test_run_takes_the_name_of_a_job(shell: Shell, api: responses.RequestsMock) -> None:
    """A job that is no number is looked up by its name, also where an id is configured."""
    api.get(JOBS_URL, json=listed("jobs", {"id": 5, "name": "Hourly"}))
    api.post(f"{JOBS_URL}5/run/", json=sample_run("run_queued", job_definition_id=5))
    assert shell("run", "--no-wait", "Hourly") == 0


def test_the_deadline_is_4(shell: Shell, triggered: responses.RequestsMock) -> None:
    """A run that goes on at `--wait-timeout` is 4, and its id is told to scripts."""
    triggered.get(RUN_URL, json=sample_run("run_running", id=RUN_ID))
    assert shell("run", "--wait-timeout", "60", "--json") == 4
    assert shell.json["error"]["type"] == "DBTCloudWaitTimeoutException"
    assert shell.json["run"]["id"] == RUN_ID


def test_an_api_that_is_down_is_5(shell: Shell, api: responses.RequestsMock) -> None:
    """An API that stays down is 5: after a trigger nobody knows whether there is a run."""
    api.post(TRIGGER_URL, status=502)
    api.get(RUNS_URL, status=502)
    assert shell("run", "--json") == 5
    assert shell.json["error"]["type"] == "DBTCloudTriggerOutcomeUnknownException"


def test_a_key_with_other_overrides_is_2() -> None:
    """A key that has a run with other overrides is a wrong call: the outcome is known."""
    error = DBTCloudRunKeyException("", job_id=JOB_ID, mark="", url="")
    assert commands.exit_code_of(error) is commands.ExitCode.USAGE


def test_a_run_that_can_not_be_looked_at_is_5(
    shell: Shell, triggered: responses.RequestsMock
) -> None:
    """Where the API goes down during the wait, the outcome is unknown and the run is told."""
    triggered.get(RUN_URL, status=503)
    assert shell("run", "--json") == 5
    assert shell.json["run"]["id"] == RUN_ID


def test_ctrl_c_is_130(
    shell: Shell, triggered: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the wait, its last line says where the run is, and the shell gets its code."""

    async def interrupted(_: JumpingIO, __: float, **___: bool) -> None:
        signal.raise_signal(signal.SIGINT)
        signals.raise_if_signalled()

    monkeypatch.setattr(JumpingIO, "sleep", interrupted)
    assert shell("run") == 128 + signal.SIGINT
    last = shell.err.splitlines()[-1]
    assert f"run {RUN_ID} was in progress when last read" in last
    assert last.endswith(f"To reattach: dlt dbt-cloud status {RUN_ID}")


# Status, cancel, retry


def test_status_shows_a_run_that_goes_on(shell: Shell, api: responses.RequestsMock) -> None:
    """With `--no-wait` a run is shown as it is. It is in progress: 6."""
    api.get(RUN_URL, json=sample_run("run_running", id=RUN_ID))
    assert shell("status", "--no-wait") == 6
    assert "Running" in shell.out
    assert sum(shell.io.sleeps) == 0


def test_status_takes_a_run(shell: Shell, api: responses.RequestsMock) -> None:
    """The id that is passed wins over the configured one."""
    api.get(f"{RUNS_URL}5/", json=sample_run("run_success", id=5))
    assert shell("status", "5") == 0


@pytest.mark.parametrize(("body", "hint"), [("403", "`account_id`"), ("404", "in this account")])
@pytest.mark.parametrize("command", ["status", "cancel", "retry"])
def test_a_run_of_another_account_is_2(
    shell: Shell, api: responses.RequestsMock, command: str, body: str, hint: str
) -> None:
    """A run that the account has not is a mistake of the caller, and the message says which."""
    for method in ("GET", "POST"):
        api.add(method, RUN_URL, json=sample(body), status=int(body))
        api.add(method, f"{RUN_URL}cancel/", json=sample(body), status=int(body))
    assert shell(command) == 2
    assert hint in shell.err
    assert shell.out == ""


def test_cancel_prints_the_run(shell: Shell, api: responses.RequestsMock) -> None:
    """A run that is cancelled is what was asked for: 0."""
    api.post(f"{RUN_URL}cancel/", json=sample_run("run_cancelled_by_user", id=RUN_ID))
    assert shell("cancel") == 0
    assert "Cancelled" in shell.out


def test_cancel_is_retried(shell: Shell, api: responses.RequestsMock) -> None:
    """While the API is unavailable, `cancel` tries again: a second one does no harm."""
    api.post(f"{RUN_URL}cancel/", status=503)
    api.post(f"{RUN_URL}cancel/", json=sample_run("run_cancelled_by_user", id=RUN_ID))
    assert shell("cancel") == 0


def test_a_run_that_has_ended_is_not_cancelled(shell: Shell, api: responses.RequestsMock) -> None:
    """There was nothing to cancel, and the run is as it was: 1."""
    api.post(f"{RUN_URL}cancel/", json=sample_run("run_success", id=RUN_ID))
    assert shell("cancel") == 1
    assert "nothing to cancel" in shell.out


# Runs


def test_runs_prints_a_table(shell: Shell, api: responses.RequestsMock) -> None:
    """The last runs of the job are shown, a line each, in columns."""
    api.get(RUNS_URL, json=sample("runs"))
    assert shell("runs") == 0
    header, *lines = shell.out.splitlines()
    assert header.split("  ")[0] == "id"
    assert len(lines) == len(sample("runs")["data"])
    assert all(line.index("https://") == header.index("url") for line in lines)


def test_runs_asks_for_no_more_than_it_shows(shell: Shell, api: responses.RequestsMock) -> None:
    """`--limit` is a limit of the request too, one request where that is enough."""
    api.get(RUNS_URL, json={**listed("runs", {"id": 5}), "extra": sample("runs")["extra"]})
    assert shell("runs", "--limit", "1", "--json") == 0
    assert [run["id"] for run in shell.json] == [5]
    (call,) = api.calls
    assert call.request.params["limit"] == "1"  # type: ignore[attr-defined]
    assert call.request.params["job_definition_id"] == str(JOB_ID)  # type: ignore[attr-defined]


def test_runs_keeps_a_cause_on_its_line(shell: Shell, api: responses.RequestsMock) -> None:
    """A long cause of many lines is cut, so that the table stays one."""
    api.get(RUNS_URL, json=listed("runs", {"trigger": {"cause": "one\ntwo " * 30}}))
    shell("runs")
    assert len(shell.out.splitlines()) == 2
    assert "one two one" in shell.out
    assert "..." in shell.out


def test_a_job_without_runs_is_said_so(shell: Shell, api: responses.RequestsMock) -> None:
    """No runs are no error."""
    api.get(RUNS_URL, json=listed("runs"))
    assert shell("runs") == 0
    assert shell.out == "The job has no runs.\n"


# Check


def findings(shell: Shell) -> dict[str, bool | None]:
    """Returns what `check --json` found."""
    return {finding["check"]: finding["ok"] for finding in shell.json}


def test_check_finds_all_that_is_missing_at_once(
    bare_shell: Shell, api: responses.RequestsMock
) -> None:
    """Without settings all are named together, with the TOML to write, before any request."""
    assert bare_shell("check") == 2
    for name in ("api_token", "account_id", "job_id"):
        assert f'{name} = "..."' in bare_shell.out
    assert len(api.calls) == 0


def test_check_names_the_malformed_setting(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that can't be meant is found where it is, the others are not blamed."""
    monkeypatch.setenv("DBT_CLOUD__BASE_API_URL", "http://abc12.us1.dbt.com")
    assert shell("check", "--json") == 2
    assert findings(shell) == {"host": False, "token": None, "account": None, "job": None}


def test_a_malformed_setting_that_check_has_no_line_for_is_2(shell: Shell) -> None:
    """Other settings are validated too."""
    assert shell("check", "--outage-timeout", "-1") == 2
    assert "`outage_timeout`" in shell.err


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        ({"status": 401, "json": sample("401")}, 2, [True, False, None, None]),
        ({"status": 403, "json": sample("403")}, 2, [True, True, False, None]),
        ({"status": 404, "json": sample("404")}, 2, [True, True, False, None]),
        ({"status": 503}, 5, [False, None, None, None]),
        ({"body": "<html>"}, 5, [False, None, None, None]),
    ],
)
def test_check_names_what_the_api_refuses(
    shell: Shell,
    api: responses.RequestsMock,
    answer: dict[str, Any],
    code: int,
    expected: list[bool | None],
) -> None:
    """The answer tells what to fix. What can't be looked at for that reason is not blamed."""
    api.get(JOBS_URL, **answer)
    assert shell("check", "--json") == code
    assert list(findings(shell).values()) == expected
    assert shell.io.sleeps == []  # whoever checks does not want to wait for an outage to end


def test_check_names_a_job_that_is_not_there(shell: Shell, api: responses.RequestsMock) -> None:
    """A job that the account has not is the last thing to fix."""
    api.get(JOBS_URL, json=sample("jobs"))
    assert shell("check", "No such job", "--json") == 2
    assert findings(shell) == {"host": True, "token": True, "account": True, "job": False}
    assert "No job is named 'No such job'" in shell.out


# Settings and output


def test_the_sections_of_a_pipeline_are_looked_in(
    shell: Shell, api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--pipeline-name` finds what a script with that pipeline finds."""
    monkeypatch.setenv("FLIGHTS__DBT_CLOUD__RUN_ID", "5")
    api.get(f"{RUNS_URL}5/", json=sample_run("run_success", id=5))
    assert shell("status", "--pipeline-name", "flights") == 0


def test_a_missing_setting_is_2(bare_shell: Shell) -> None:
    """What is not configured is named, with the TOML to write."""
    assert bare_shell("status") == 2
    assert 'api_token = "..."' in bare_shell.err


def test_settings_that_dlt_can_not_read_are_2(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What dlt has to say about the files is a matter of configuration."""

    def unreadable(**_: object) -> None:
        raise ConfigurationValueError("secrets.toml has a table in a string")

    monkeypatch.setattr(commands, "resolve_dbt_cloud_configuration", unreadable)
    assert shell("status", "--json") == 2
    assert shell.json["error"]["message"] == "secrets.toml has a table in a string"


def test_json_is_all_that_is_on_stdout(
    shell: Shell, triggered: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is printed while a command goes on does not mix with its answer."""
    sleep = JumpingIO.sleep

    async def noisy(io: JumpingIO, seconds: float, **_: bool) -> None:
        sys.stdout.write("noise\n")
        await sleep(io, seconds)

    monkeypatch.setattr(JumpingIO, "sleep", noisy)
    triggered.get(RUN_URL, json=sample_run("run_error", id=RUN_ID))
    assert shell("run", "--json") == 1
    assert shell.json["id"] == RUN_ID
    assert shell.json["failed_nodes"] == []
    assert "noise" in shell.err


def test_the_logger_is_left_as_it_was(shell: Shell) -> None:
    """A command that ran in a process of others changes none of their logging."""
    logger = logging.getLogger("dlt.dbt_cloud")
    before = (logger.level, logger.propagate, list(logger.handlers))
    shell("status", "not-a-number")
    assert (logger.level, logger.propagate, logger.handlers) == before


# The local dbt Cloud


def test_local_passes_all_arguments_on(bare_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`local` has the options of the local dbt Cloud, and its exit code."""
    command = pytest.importorskip("dlt_dbt_cloud.local.__main__", exc_type=ImportError)
    passed: list[list[str]] = []

    def main(argv: list[str]) -> int:
        passed.append(argv)
        return 7

    monkeypatch.setattr(command, "main", main)
    argv = ["--project-dir", "here", "--", "python", "-c", "pass", "--json"]
    assert bare_shell("local", *argv) == 7
    assert bare_shell("local", "--help") == 7
    assert passed == [argv, ["--help"]]


def test_local_without_its_extra_says_what_to_install(
    bare_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Flask there is a command to install it, and no traceback."""
    monkeypatch.delitem(sys.modules, "dlt_dbt_cloud.local.__main__", raising=False)
    monkeypatch.setitem(sys.modules, "dlt_dbt_cloud.local.server", None)
    assert bare_shell("local") == 2
    assert 'pip install ".[local-duckdb]"' in bare_shell.err


def test_a_job_is_run_over_http(bare_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands in a row, as one uses them, against a server."""
    local = pytest.importorskip("dlt_dbt_cloud.local", exc_type=ImportError)
    jobs = [local.ScriptedJob(statuses=(10,)), local.ScriptedJob("Broken", statuses=(20,))]
    with local.LocalDBTCloud(jobs=jobs) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        assert bare_shell("check") == 0
        assert bare_shell("run") == 0
        assert bare_shell("run", "Broken", "--json") == 1
        run_id = str(bare_shell.json["id"])
        assert bare_shell("status", run_id) == 1
        assert bare_shell("retry", run_id) == 1
        assert bare_shell("retry", run_id) == 2  # there is a newer run
        assert bare_shell("runs", "Broken", "--json") == 0
        assert len(bare_shell.json) == 2


# The plugin


def test_each_dlt_takes_the_plugin() -> None:
    """The hook takes no arguments: what a dlt does not pass, pluggy refuses at every import."""
    manager = Container()[PluginContext].manager
    plugin = sys.modules["dlt_dbt_cloud.plugin"]
    if not manager.is_registered(plugin):
        manager.register(plugin)
    offered = manager.hook.plug_cli(host="dlt")
    assert DBTCloudCommand in offered


def test_the_plugin_imports_nothing_of_its_own() -> None:
    """The module that dlt imports whenever it is used imports what dlt has imported before."""
    tree = ast.parse((ROOT / "dlt_dbt_cloud" / "plugin.py").read_text())
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert imported - sys.stdlib_module_names == {"dlt.common.configuration.plugins"}


def test_the_package_is_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m dlt_dbt_cloud` is there without any plugin."""
    monkeypatch.setattr(sys, "argv", ["dlt_dbt_cloud", "--help"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "dlt_dbt_cloud" / "__main__.py"), run_name="__main__")
    assert exit_.value.code == 0
    assert "usage: python -m dlt_dbt_cloud" in capsys.readouterr().out


def test_dlt_has_the_command(tmp_path: Path) -> None:
    """With the entry point `dlt dbt-cloud` is there, and exits with its own code."""
    info = tmp_path / "dlt_dbt_cloud_test-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dlt-dbt-cloud-test\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dlt]\ndlt-dbt-cloud = dlt_dbt_cloud.plugin\n")
    command = [sys.executable, "-m", "dlt", "dbt-cloud", "run", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["error"]["type"] == "InvalidCredentialsException"
