"""The warm dbt: which steps are forked, what ends them, and what is left of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud
from dlt_dbt_cloud.local.runners.warm import PER_RUN
from dlt_dbt_cloud.local.runners.warm_dbt.serving import check_threads

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="forks on Linux only"),
]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return True


def soon(is_so: Callable[[], bool]) -> bool:
    """Whether something is so within some seconds."""
    give_up = time.monotonic() + 10
    while not is_so() and time.monotonic() < give_up:
        time.sleep(0.05)
    return is_so()


def debug_logs(api: Any, run: Any) -> str:
    """All that dbt logs about the last step of a run."""
    step = api.get(f"steps/{run['run_steps'][-1]['id']}/", include_related="debug_logs")
    return str(step["debug_logs"])


@pytest.fixture
def job(make_project: Callable[..., DBTJob]) -> DBTJob:
    """A job that does little."""
    return make_project(env={"TINY_SLOW": "no"}, steps=("dbt parse",))


@pytest.fixture
def slow(make_project: Callable[..., DBTJob]) -> DBTJob:
    """A job that takes longer than any test."""
    return make_project(env={"TINY_SLOW": "yes"}, steps=("dbt run --select slow",))


def is_in_the_model(run: Any) -> bool:
    """Whether dbt runs a model right now."""
    return any("START" in step["logs"] for step in run["run_steps"])


def test_the_next_server_starts_with_what_was_parsed(
    job: DBTJob, make_api: Callable[..., Any]
) -> None:
    """A project that no one has changed is parsed once, also by a server that comes later."""
    parsed = []
    for _ in range(2):
        with LocalDBTCloud(jobs=[job]) as cloud:
            api = make_api(cloud)
            for _ in range(2):
                run = api.finished(api.trigger()["id"])
                parsed.append("skipping parsing" not in debug_logs(api, run))
    assert parsed == [True, False, False, False]


def test_nothing_of_a_run_is_read_before_dbt_is_called(job: DBTJob) -> None:
    """Importing dbt reads none of the variables that differ from run to run."""
    with LocalDBTCloud(jobs=[job]) as cloud:
        (started,) = cloud._world.dbt.helpers
        names = started.read.result(timeout=60)
    assert "DBT_MACRO_DEBUGGING" in names
    assert not [name for name in names if name.startswith(PER_RUN)]


def test_a_helper_of_its_own_for_what_is_read_at_the_start(
    job: DBTJob, make_api: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step whose environment would import another dbt is not forked from the first one."""
    with LocalDBTCloud(jobs=[job]) as cloud:
        api = make_api(cloud)
        for value in ("1", "2", "2"):
            monkeypatch.setenv("PYTHONSTARTUP_OF_A_TEST", value)
            assert api.finished(api.trigger()["id"])["status"] == 10
        assert len(cloud._world.dbt.helpers) == 3


def test_a_step_ends_with_its_helper_and_the_next_run_has_another(
    slow: DBTJob, make_api: Callable[..., Any], children: Any
) -> None:
    """A run whose helper is killed fails at once, and the next one is as quick as ever."""
    with LocalDBTCloud(jobs=[slow]) as cloud:
        api = make_api(cloud)
        run_id = api.trigger()["id"]
        api.until(run_id, is_in_the_model)
        pid = cloud._world.dbt.helpers[0]._process.pid
        steps = children(pid)
        os.kill(pid, signal.SIGKILL)
        assert api.finished(run_id)["status"] == 20
        assert soon(lambda: all(is_gone(step) for step in steps))
        run = api.finished(api.trigger(steps_override=["dbt ls"])["id"])
        assert run["status"] == 10
        assert len(cloud._world.dbt.helpers) == 2


@pytest.mark.parametrize("reason", ["platform", "helper"])
def test_where_nothing_can_be_forked_steps_run_and_the_log_says_so_once(  # noqa: PLR0917
    job: DBTJob,
    make_api: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    reason: str,
) -> None:
    """Steps import dbt themselves if the platform or the helper can't fork for them."""
    if reason == "platform":
        monkeypatch.setattr("sys.platform", "darwin")
    else:
        broken = tmp_path / "helper.py"
        broken.write_text("raise SystemExit(1)")
        monkeypatch.setattr("dlt_dbt_cloud.local.runners.warm._HELPER", broken)
    with caplog.at_level("WARNING", logger="dlt.dbt_cloud"), LocalDBTCloud(jobs=[job]) as cloud:
        api = make_api(cloud)
        run = api.finished(api.trigger(steps_override=["dbt parse", "dbt ls"])["id"])
    assert run["status"] == 10
    said = [record for record in caplog.records if "imports dbt" in record.getMessage()]
    assert len(said) == 1


def test_a_process_with_threads_does_not_fork() -> None:
    """A fork of a process with threads could hang, so the helper refuses."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(OSError, match="threads"):
            check_threads()
    finally:
        done.set()
        thread.join()


@pytest.fixture
def children() -> Callable[[int], list[int]]:
    """The processes that a process has started, and so on."""

    def find(pid: int) -> list[int]:
        found = []
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="utf-8").split():
                found += [int(child), *find(int(child))]
        return found

    return find
