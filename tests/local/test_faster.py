"""What lets dbt do the same in less time: only in the versions that it was written for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dbt_common.behavior_flags import Behavior
from dbt_common.clients import jinja
from dbt_common.events import base_types, types
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.format import timestamp_to_datetime_string
from dbt_common.events.logger import LineFormat, LoggerConfig, _TextLogger

from dlt_dbt_cloud.local.runners.warm_dbt import contexts, database, faster, output


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Something to replace, and a replacement that is known to fit it."""
    place = SimpleNamespace(own=faster.digest)
    monkeypatch.setattr(faster, "theirs", place, raising=False)
    return place


def known(expected: str) -> faster.Known:
    """A replacement that was written for a certain source."""
    return (len, (f"{faster.__name__}:theirs.own",), (), expected)


@pytest.mark.parametrize("is_known", [True, False])
def test_only_known_source_is_replaced(
    place: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """A function is replaced only if its source is what the replacement was written for."""
    expected = faster.digest((f"{faster.__name__}:theirs.own",)) if is_known else "of another"
    monkeypatch.setattr(faster, "KNOWN", (known(expected),))
    monkeypatch.setattr(os.environ, "__class__", type(os.environ))
    faster.install()
    assert (place.own is len) == is_known


def test_the_installed_dbt_is_known() -> None:
    """Every replacement fits the dbt of the tests, else nobody would notice that none is used."""
    outdated = [
        (replacement.__name__, found)
        for replacement, places, rests_on, expected in faster.KNOWN
        if (found := faster.digest((*places, *rests_on))) != expected
    ]
    assert outdated == []


@pytest.mark.parametrize(
    "event",
    [
        types.Note(msg="é"),
        types.Formatting("a line"),
        types.RecordRetryException(exc="no"),
    ],
)
def test_an_event_has_the_same_message(event: base_types.BaseEvent) -> None:
    """The message of an event is what dbt makes of it, except for the time."""
    ours, theirs = output.msg_from_base_event(event), base_types.msg_from_base_event(event)
    ours.info.ts.CopyFrom(theirs.info.ts)
    assert ours == theirs


def test_the_environment_is_decoded_anew_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the environment is what it is now, whether a variable was set or deleted since."""
    monkeypatch.setattr(os.environ, "__class__", output.Environ)
    output.Environ.decoded = None
    assert "OF_A_TEST" not in dict(os.environ.items())
    os.environ["OF_A_TEST"] = "é"
    assert dict(os.environ.items())["OF_A_TEST"] == "é"
    del os.environ["OF_A_TEST"]
    assert "OF_A_TEST" not in dict(os.environ.items())


def test_a_template_is_compiled_for_its_kind_of_environment() -> None:
    """The code of a template is kept by its text, and apart for native values."""
    compiled = contexts.Compiled(jinja.MacroFuzzEnvironment.compile)
    text, native = jinja.get_environment(), jinja.get_environment(native=True)
    assert compiled(text, "{{ 1 }}") is compiled(jinja.get_environment(), "{{ 1 }}")
    assert compiled(text, "{{ 1 }}") is not compiled(native, "{{ 1 }}")
    assert compiled(text, "{{ 1 }}") is not compiled(text, "{{ 2 }}")


def test_arguments_are_described_as_they_are_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the arguments of an invocation are is dbt's own answer, also after a change."""
    from dbt import flags  # noqa: PLC0415  # takes seconds
    from dbt.utils import utils  # noqa: PLC0415  # as above

    theirs: Any = utils.args_to_dict
    described = contexts.ArgsToDict(theirs)
    monkeypatch.setattr(flags, "GLOBAL_FLAGS", SimpleNamespace(TARGET_PATH="one"))
    args = SimpleNamespace(which="build", vars={"a": 1})
    for change in ({}, {"which": "test"}, {"vars": {"a": 2}}):
        vars(args).update(change)
        assert described(args) == theirs(args)
    monkeypatch.setattr(flags, "GLOBAL_FLAGS", SimpleNamespace(TARGET_PATH="other"))
    assert described(args)["target_path"] == "other"


def test_a_flag_names_the_module_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of a flag without one is the module that made it, as dbt finds out."""
    flag = {"name": "new", "default": True, "docs_url": "here"}
    theirs = Behavior([flag], {}).new  # type: ignore[list-item]
    monkeypatch.setattr(type(theirs), "_default_source", database.default_source)
    ours = Behavior([flag], {}).new  # type: ignore[list-item]
    event = "_behavior_change_event"
    assert getattr(ours, event).flag_source == getattr(theirs, event).flag_source == __name__


def logged(path: Path, max_bytes: int) -> list[list[str]]:
    """The lines of a log file and of its predecessors, without their times."""
    config = LoggerConfig(
        name=str(path),
        level=EventLevel.INFO,
        line_format=LineFormat.DebugText,
        output_file_name=str(path / "dbt.log"),
        output_file_max_bytes=max_bytes,
    )
    manager = EventManager()
    manager.add_logger(config)
    for number in range(20):
        manager.fire_event(types.Note(msg=f"é {number}"), EventLevel.INFO)
        manager.fire_event(types.Note(msg="a detail"), EventLevel.DEBUG)
    manager.flush()
    return [
        [line.partition(" ")[2] for line in file.read_text("utf-8").splitlines()]
        for file in sorted(path.iterdir())
    ]


@pytest.mark.parametrize("max_bytes", [0, 300])
def test_a_log_has_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_bytes: int
) -> None:
    """A log has the lines that dbt writes, in as many files when it grows too large."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    theirs = logged(tmp_path / "theirs", max_bytes)
    monkeypatch.setattr(_TextLogger, "write_line", output.write_line)
    assert logged(tmp_path / "ours", max_bytes) == theirs
    assert len(theirs) > 1 or not max_bytes


def test_the_time_of_an_event_is_written_as_dbt_does() -> None:
    """The time is dbt's own text, to the microsecond, also when the second changes."""
    ours = output.DatetimeString(timestamp_to_datetime_string)
    for seconds, nanos in ((1, 0), (1, 500_000_000), (2, 25_000), (3600, 0)):
        ts = SimpleNamespace(seconds=seconds, nanos=nanos)
        assert ours(ts) == timestamp_to_datetime_string(ts)


OF_A_RUN = """
import os
from dlt_dbt_cloud.local.runners.warm_dbt.preparing import prepare
list(prepare(["duckdb"]))
os.environ["DBT_ENV_CUSTOM_ENV_RUN"] = "7"
from dbt.artifacts.schemas.run.v5.run import RunResultsMetadata
print(RunResultsMetadata(dbt_schema_version="").env)
"""


@pytest.mark.slow
def test_what_is_prepared_knows_no_run() -> None:
    """An artifact has the environment of its own run, which dbt remembers once it is asked."""
    done = subprocess.check_output([sys.executable, "-c", OF_A_RUN], text=True)
    assert "{'RUN': '7'}" in done
