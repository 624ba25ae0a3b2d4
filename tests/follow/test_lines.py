"""What is told while a run goes on: in a terminal, in CI, in a log, and of its logs."""

import io as streams
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dlt
import pytest
from dlt.common.runtime.collector import LogCollector
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud._follow.lines import Lines, Tally, left
from dlt_dbt_cloud._follow.logs import StepLogs, new_lines
from dlt_dbt_cloud._follow.progress import display_of, rest
from dlt_dbt_cloud._follow.screen import CLEAR, CollectorScreen, LogScreen, Notebook, Screen
from dlt_dbt_cloud._follow.watch import Watch
from dlt_dbt_cloud._io import logger, run
from dlt_dbt_cloud.run import DBTCloudRun, UsualTimes
from tests.report.test_wording import mixed_run
from tests.utils import ACCOUNT, RUN_ID, JumpingIO, PlayedJob, answer_trigger, sample

USUAL = UsualTimes(queued=4, ran=110, spread=5)


class Terminal(streams.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Returns that it is one."""
        return True

    @property
    def shown(self) -> list[str]:
        """The lines that a person sees in the end."""
        return [line.rpartition(CLEAR)[2] for line in self.getvalue().split("\n")]


@pytest.fixture
def terminal() -> Terminal:
    """A terminal of 80 columns."""
    return Terminal()


def at(status: int, step: str = "", **changes: Any) -> DBTCloudRun:
    """Returns a run that is queued, in a step, or has finished."""
    name = {1: "run_queued", 3: "run_running", 10: "run_success", 20: "run_error"}[status]
    steps = [{"index": 1, "name": step, "status": 3}] if step else []
    return DBTCloudRun({**sample(name)["data"], "run_steps": steps, **changes})


def tell(screen: Any, io: JumpingIO, story: Sequence[tuple[float, DBTCloudRun]]) -> None:
    """Tells a story: seconds, and what is read after them."""
    with Lines(screen, io, USUAL) as lines:
        for seconds, read in story:
            run(rest(io, seconds, lines))
            lines.show(read)


class TestLines:
    """In CI and in files: few lines, which stay."""

    def test_story(self, io: JumpingIO) -> None:
        """Id, URL and usual time at once, then a line at each change, and the end."""
        out = streams.StringIO()
        story = [
            (0, at(1)),
            (5, at(3, "Clone")),
            (5, at(3, "Clone")),
            (5, at(3, "Build")),
            (5, at(10)),
        ]
        tell(Screen(out, {}), io, story)
        lines = out.getvalue().splitlines()
        assert lines[0].startswith(f"dbt Cloud run {RUN_ID} of job ")
        assert ", usually 00:01:54: https://abc12" in lines[0]
        told = [line.partition(": ")[2].partition(",")[0] for line in lines[1:]]
        assert told == [
            "Queued behind run 70403111611683",
            "1. Clone",
            "1. Build",
            "Success after 00:01:54",
        ]

    def test_heartbeat(self, io: JumpingIO) -> None:
        """There is a line at least once a minute, also between two polls that lie further apart."""
        out = streams.StringIO()
        tell(Screen(out, {}), io, [(0, at(3, "Build")), (600, at(10))])
        assert out.getvalue().count("1. Build, ") == 9
        assert "so far" in out.getvalue()

    @given(st.lists(st.tuples(st.floats(0.1, 30), st.sampled_from("abcdef")), min_size=200))
    def test_hundred(self, polls: list[tuple[float, str]]) -> None:
        """Whatever happens, an hour has at most a hundred lines."""
        io, out, reads = JumpingIO(), _Times(), {step: at(3, step) for step in "abcdef"}
        out.io = io
        tell(Screen(out, {}), io, [(seconds, reads[step]) for seconds, step in polls])
        hours = zip(out.times, out.times[100:], strict=False)
        assert all(later - time >= 3600 for time, later in hours)

    def test_hour_with_log_collector(self, io: JumpingIO) -> None:
        """So it is with `progress="log"`, which has told each counter every second."""
        out = streams.StringIO()
        collector = LogCollector(log_period=0, logger=out, dump_system_stats=False)
        tell(CollectorScreen(collector), io, [(10, at(3, str(n // 60))) for n in range(360)])
        assert 60 <= out.getvalue().count("\n") <= 100

    def test_no_colour(self, io: JumpingIO) -> None:
        """Lines that stay steer no terminal, also if a step's name tries to."""
        out = streams.StringIO()
        tell(Screen(out, {}), io, [(0, at(3, "\x1b[31mred\x1b[0m\r")), (5, at(3, "x\x07"))])
        assert not set(out.getvalue()) & {"\x1b", "\r", "\x07"}


class _Times(streams.StringIO):
    """Remembers when lines were written."""

    io: JumpingIO

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def write(self, text: str) -> int:
        """Remembers the time."""
        self.times.append(self.io.now())
        return super().write(text)


class TestLivingLine:
    """In a terminal: one line that lives."""

    def test_lives(self, io: JumpingIO, terminal: Terminal) -> None:
        """The line is drawn again each second; two lines stay: the first, and the outcome."""
        tell(Screen(terminal, {}), io, [(0, at(3, "Build")), (10, at(3, "Build")), (5, at(10))])
        assert terminal.getvalue().count("1. Build, ") >= 14
        first, last, end = terminal.shown
        assert first.startswith(f"dbt Cloud run {RUN_ID} of job")
        assert last == f"dbt Cloud run {RUN_ID}: Success after 00:01:54"
        assert end == ""

    def test_one_line(self, io: JumpingIO, terminal: Terminal) -> None:
        """It is never wider than the terminal, so it never wraps."""
        tell(Screen(terminal, {}), io, [(0, at(3, "x" * 500)), (3, at(3, "x" * 500))])
        drawn = terminal.getvalue().split(CLEAR)
        assert max(len(line.rpartition("\n")[2]) for line in drawn) < 80

    def test_makes_room(self, io: JumpingIO, terminal: Terminal) -> None:
        """A record of the log does not mix with the line, and nothing is left behind."""
        handler = logging.StreamHandler(terminal)
        logger.addHandler(handler)
        try:
            with Lines(Screen(terminal, {}), io, None) as lines:
                lines.show(at(3, "Build"))
                logger.warning("Retrying")
        finally:
            logger.removeHandler(handler)
        assert terminal.shown[1:] == ["Retrying", ""]
        assert logger.filters == []

    def test_two_waits(self, io: JumpingIO, terminal: Terminal) -> None:
        """A second wait in the same terminal is told in lines: two can't share one."""
        with Lines(Screen(terminal, {}), io, None), Lines(Screen(terminal, {}), io, None) as second:
            second.show(at(3, "Build"))
        assert CLEAR not in terminal.getvalue()

    @pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}])
    def test_no_life(self, environment: dict[str, str], terminal: Terminal) -> None:
        """CI, and a terminal that can't move its cursor, get lines."""
        assert not Screen(terminal, environment).is_live

    def test_closed(self, io: JumpingIO, terminal: Terminal) -> None:
        """A terminal that is gone ends no wait."""
        terminal.close()
        screen = Screen.__new__(Screen)
        screen._stream, screen._is_dirty, screen.is_live = terminal, False, True
        tell(screen, io, [(0, at(3, "Build")), (5, at(10))])


class TestLeft:
    """What is usually left, the queue counted."""

    @pytest.mark.parametrize(
        ("changes", "since", "expected"),
        [
            ({"blocked_by": [], "queued_duration": "00:00:01"}, 0, "00:01:53"),
            ({"blocked_by": [5], "queued_duration": "00:00:30"}, 0, "00:03:10"),
            ({"blocked_by": [5], "queued_duration": "00:00:30"}, 10, "00:03:00"),
            ({"blocked_by": [5, 6], "queued_duration": "00:00:00"}, 0, "00:05:30"),
            ({"blocked_by": [5], "queued_duration": "00:10:00"}, 0, "00:01:50"),
        ],
    )
    def test_queued(self, changes: dict[str, Any], since: float, expected: str) -> None:
        """The runs ahead take as long as usual, less what they have run while this waited."""
        queued = at(1, run_duration="00:00:00", **changes)
        assert left(queued, USUAL, since) == f"usually 00:01:54, about {expected} left"

    def test_unknown(self) -> None:
        """Without a history, and at the end, nothing is said."""
        assert left(at(1), None) == ""
        assert left(at(10), USUAL) == ""


@pytest.mark.usefixtures("dlt_world")
class TestChoice:
    """How a wait is shown where nobody has said how."""

    @pytest.fixture(autouse=True)
    def at_warning(self) -> Iterator[None]:
        """Dlt's default log level."""
        level = logger.level
        logger.setLevel(logging.WARNING)
        yield
        logger.setLevel(level)

    def test_off(self) -> None:
        """`progress="off"` is silence, also with a pipeline that shows its own."""
        dlt.pipeline("p", pipelines_dir="pipelines", progress="log")
        assert display_of("off") is None

    def test_pipeline_wins(self) -> None:
        """The pipeline's own progress wins."""
        pipeline = dlt.pipeline("p", pipelines_dir="pipelines", progress="tqdm")
        assert display_of("auto") is pipeline.collector

    def test_lines_by_default(self) -> None:
        """Without any set-up, a script tells on its standard error."""
        assert isinstance(display_of("auto"), Screen)

    def test_log(self) -> None:
        """Where the log shows INFO, it has the lines, and nothing else has them too."""
        logger.setLevel(logging.INFO)
        assert isinstance(display_of("auto"), LogScreen)

    def test_no_stderr(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process without standard error is silent."""
        monkeypatch.setattr(sys, "stderr", None)
        assert display_of("auto") is None

    def test_notebook(self, ipython: "_IPython") -> None:
        """A notebook shows one table, which changes in place."""
        display = display_of("auto")
        assert isinstance(display, Notebook)
        for status in (1, 3, 10):
            display.show(at(status))
        assert [shown.status for shown in ipython.shown] == [1, 3, 10]
        display.show_runs([at(10), at(3)])
        assert ipython.shown[-1]._repr_html_().count("<tr>") == 3
        assert ipython.cells == 1

    def test_report_in_a_notebook(self, io: JumpingIO, ipython: "_IPython") -> None:
        """In the end the table has what only the report knows: which nodes failed."""
        Watch(io, Notebook()).reported(mixed_run())
        assert ipython.shown[-1].failed_nodes

    def test_name_of_the_job(self, io: JumpingIO) -> None:
        """What is shown keeps the name of the job and the steps, which polls may leave out."""
        watch = Watch(io)
        watch.saw(at(3, "Build", job={"name": "Nightly"}))
        brief = at(3)
        watch.saw(brief)
        assert (brief.job_name, brief.activity) == ("Nightly", "1. Build")


@pytest.fixture
def ipython(monkeypatch: pytest.MonkeyPatch) -> "_IPython":
    """The kernel of a notebook."""
    ipython = _IPython()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    return ipython


class _IPython:
    """What a kernel offers."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.cells = 0
        self.kernel = self

    def get_ipython(self) -> "_IPython":
        """Returns the shell."""
        return self

    def display(self, it: DBTCloudRun, *, display_id: bool) -> "_IPython":
        """Shows something, and returns a handle."""
        assert display_id
        self.cells += 1
        self.update(it)
        return self

    def update(self, it: DBTCloudRun) -> None:
        """Shows something else instead."""
        self.shown.append(it)


def test_many(io: JumpingIO) -> None:
    """A wait for many runs tells how many have finished, and at least once a minute."""
    out = streams.StringIO()
    tally = Tally(Screen(out, {}), io)
    run(rest(io, 150, tally))
    for finished in (1, 2, 3):
        run(rest(io, 1, tally))
        tally.show_runs([at(10)] * finished + [at(3)] * (3 - finished))
    assert out.getvalue().splitlines() == [
        *["dbt Cloud runs: none has finished yet"] * 2,
        "dbt Cloud runs: 1 of 3 have finished",
        "dbt Cloud runs: 3 of 3 have finished",
    ]


class TestLogs:
    """The log of each step, line by line."""

    @given(st.lists(st.text("ab", max_size=2), max_size=30), st.data())
    def test_each_line_once(self, lines: list[str], data: st.DataObject) -> None:
        """However a log is cut at the polls, each line is told once, in order."""
        log = "".join(f"{n} {line}\n" for n, line in enumerate(lines))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=8)))
        out = streams.StringIO()
        logs = StepLogs(Screen(out, {}))
        for cut in cuts:
            logs.show(self._run(log[:cut]))
        logs.show(self._run(log, status=10))
        told = [line.removeprefix("  ") for line in out.getvalue().splitlines()[1:]]
        assert told == log.splitlines()

    def test_lost_beginning(self) -> None:
        """A log of which only the end is kept goes on after what was told."""
        lines = [f"line {n}" for n in range(100)]
        assert list(new_lines(lines[:50], lines[40:60])) == lines[50:60]
        assert list(new_lines(lines[:5], lines[40:60])) == lines[40:60]

    def test_steps(self) -> None:
        """Each step has its title, and `only` tells one step."""
        steps = [{"index": n, "name": f"Step {n}", "logs": f"log {n}\n"} for n in (1, 2)]
        run_ = DBTCloudRun({**sample("run_running")["data"], "run_steps": steps})
        for only, expected in (
            (None, "1. Step 1\n  log 1\n2. Step 2\n  log 2\n"),
            (2, "2. Step 2\n  log 2\n"),
        ):
            out = streams.StringIO()
            StepLogs(Screen(out, {}), only).show(run_)
            assert out.getvalue() == expected

    @staticmethod
    def _run(log: str, status: int = 3) -> DBTCloudRun:
        return at(status, run_steps=[{"index": 1, "name": "Build", "status": status, "logs": log}])


def test_log_of_a_running_step(run_with: Callable[..., DBTCloudRun], api: Any) -> None:
    """A log that does not come with the run is read from its step: one request more a poll."""
    url = f"{ACCOUNT}/runs/{RUN_ID}/"
    api.add_callback("POST", f"{ACCOUNT}/jobs/70403103936332/run/", answer_trigger(id=RUN_ID))
    step = {"id": 9, "index": 1, "name": "Build", "status": 3}
    for logs in (None, None):
        api.get(url, json={"data": at(3, run_steps=[{**step, "logs": logs}])})
    api.get(url, json={"data": at(10, run_steps=[{**step, "status": 10, "logs": "a\nb\nc\n"}])})
    for logs in ("a\nb", "a\nb\n"):
        api.get(f"{ACCOUNT}/steps/9/", json={"data": {"id": 9, "logs": logs}})
    out = streams.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", out)
        run_with(logs=True)
    assert out.getvalue() == "1. Build\n  a\n  b\n  c\n"
    assert sum("/steps/" in str(call.request.url) for call in api.calls) == 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes yet")
def test_last_line_of_an_interrupted_script(
    run_with: Callable[..., DBTCloudRun], job: PlayedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback of Ctrl-C ends with the sentence that says where the run is."""

    async def interrupted(_: JumpingIO, __: float, **___: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(JumpingIO, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run_with()
    last = "".join(traceback.format_exception(caught.value)).splitlines()[-1]
    assert "/runs/" in last
    assert last.endswith(f"get_dbt_cloud_run_status(run_id={RUN_ID})")
