"""A dbt Cloud in place of the network, on a simulated clock."""

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, ParamSpec, TypeVar
from unittest.mock import patch

from dlt.helpers import dbt_cloud as helper
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from typing_extensions import Self
from urllib3 import HTTPResponse

from dlt_dbt_cloud._io import check_deadline
from dlt_dbt_cloud._values import clock

SAMPLES: Final = Path(__file__).parents[1] / "samples"
JOB: Final = 1
RUN: Final = 1000
ELAPSED: Final = "<elapsed>"


P = ParamSpec("P")
T = TypeVar("T")


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Returns the seconds slept."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Sleeps, in no time."""
        self.seconds += seconds


def sample(name: str) -> Any:
    """Returns a recorded body."""
    return json.loads((SAMPLES / f"{name}.json").read_bytes())


def body(name: str, **changes: Any) -> bytes:
    """Returns the body of a run, in a recorded shape."""
    envelope = sample(name)
    envelope["data"] |= {"id": RUN, "job_definition_id": JOB, "job_id": JOB, **changes}
    return json.dumps(envelope).encode()


def steps_without_logs(name: str) -> list[dict[str, Any]]:
    """Returns the steps of a recorded run, as they are while their logs are on the way."""
    return [{**step, "logs": None} for step in sample(name)["data"]["run_steps"]]


def history_body(durations: Sequence[float]) -> bytes:
    """Returns the body of a list of runs that took so many seconds."""
    run = sample("run_success")["data"]
    runs = [
        {**run, "id": RUN - 1 - i, "job_definition_id": JOB, "run_duration": clock(seconds)}
        for i, seconds in enumerate(durations)
    ]
    return json.dumps({**sample("runs"), "data": runs}).encode()


@dataclass(frozen=True)
class ClockIO:
    """An IO on such a clock. A call takes no time."""

    clock: Clock
    deadline: float = math.inf

    def now(self) -> float:
        """Returns the seconds slept."""
        return self.clock.now()

    def until(self, deadline: float) -> Self:
        """Returns the same with an earlier deadline."""
        return replace(self, deadline=min(deadline, self.deadline))

    def last(self, seconds: float) -> Self:
        """Returns the same for so many seconds."""
        return replace(self, deadline=self.now() + seconds)

    async def sleep(self, seconds: float, *, is_poll: bool = False) -> None:
        """Sleeps, in no time."""
        self.clock.sleep(max(0.0, min(seconds, self.deadline - self.now())))

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a request returns."""
        check_deadline(self)
        return function(*args, **kwargs)


@dataclass(frozen=True)
class Ending:
    """How a run ends.

    Attributes:
        name: The ending in words.
        run: The run, as polls read it.
        related: The run with its steps.
        results: Its `run_results.json`, None where there is none.
    """

    name: str
    run: bytes
    related: bytes
    results: bytes | None = None


SUCCESS: Final = Ending("success", body("run_success"), body("run_success_related"))
FAILURE: Final = Ending(
    "failure",
    body("run_error"),
    body("run_error_related"),
    json.dumps(sample("run_results")).encode(),
)
SILENT_FAILURE: Final = Ending(
    "failure, no logs, no results",
    body("run_error"),
    body("run_error_related", run_steps=steps_without_logs("run_error_related")),
)
RUNNING: Final = body("run_running", run_duration=ELAPSED)
NOT_FOUND: Final = json.dumps(sample("404")).encode()


@dataclass
class FakeAPI:
    """The API for one run that ends at a given time.

    Attributes:
        ends_at: When the run ends, in seconds on the clock. It is triggered, and starts, at 0.
        ending: How it ends.
        history: How long earlier runs of the job took, in seconds.
        clock: The clock. A request takes no time on it.
        requests: How many there were.
        polls: When the run was read, up to the answer that told its end.
        cause: The cause of the last trigger.
    """

    ends_at: float
    ending: Ending = SUCCESS
    history: Sequence[float] = ()
    clock: Clock = field(default_factory=Clock)
    requests: int = 0
    polls: list[float] = field(default_factory=list)
    cause: str = ""

    def answer(self, request: PreparedRequest) -> Response:
        """Answers a request."""
        self.requests += 1
        if request.method == "POST":
            self.cause = str(json.loads(request.body or "{}").get("cause"))
        response = Response()
        response.request, response.url = request, str(request.url)
        response.status_code, content = self._answer(request.method, str(request.url))
        response.raw = HTTPResponse(io.BytesIO(content), preload_content=False)
        response.encoding = "utf-8"
        response.headers["Content-Type"] = "application/json"
        return response

    def _answer(self, method: str | None, url: str) -> tuple[int, bytes]:
        if method == "POST":
            return 200, body("trigger", trigger={"cause": self.cause})
        if "/runs/?" in url:
            return 200, history_body(self.history)
        if "/artifacts/" in url:
            return (200, self.ending.results) if self.ending.results else (404, NOT_FOUND)
        return 200, self._run(url)

    def _run(self, url: str) -> bytes:
        if not self.polls or self.polls[-1] < self.ends_at:
            self.polls.append(self.clock.now())
        if self.clock.now() < self.ends_at:
            return RUNNING.replace(ELAPSED.encode(), clock(self.clock.now()).encode())
        return self.ending.related if "include_related" in url else self.ending.run

    @contextmanager
    def plugged_in(self) -> Iterator[None]:
        """Takes the place of the network, and its clock that of the helper's `time`."""

        def send(_: HTTPAdapter, request: PreparedRequest, **__: Any) -> Response:
            return self.answer(request)

        simulated = SimpleNamespace(sleep=self.clock.sleep)
        with patch.object(HTTPAdapter, "send", send), patch.object(helper, "time", simulated):
            yield
