"""Recorded bodies, a clock that jumps, and settings, for the tests to share."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
import responses
from typing_extensions import Self

from dlt_dbt_cloud._io import check_deadline
from dlt_dbt_cloud.configuration import DBTCloudConfiguration, resolve_dbt_cloud_configuration

P = ParamSpec("P")
T = TypeVar("T")

Response = tuple[int, dict[str, str], str]
Fault = int | str | BaseException | None
"""What comes instead of an answer: an HTTP status, a body, or what `requests` raises."""

EPOCH = datetime(2100, 1, 1, tzinfo=timezone.utc)
"""When the clock of `PlayedJob` starts: after any load of a real pipeline."""

THOROUGH = 48
"""Inputs that a law is tried with by `make check`. `make test` takes a quarter of them."""

SAMPLES = Path(__file__).parent / "samples"
HOST = "https://abc12.us1.dbt.com"
ACCOUNT = f"{HOST}/api/v2/accounts/70403103922125"
JOB_ID = 70403103936332
RUN_ID = 70403110257794
SAMPLE_OF = {1: "run_queued", 3: "run_running", 20: "run_error", 30: "run_cancelled_by_user"}
TOKEN = "dbtc_5eCrEt-T0k3n_0123456789"


class Sleeps(list[float]):
    """How long each sleep took, and all of them."""

    total = 0.0

    def append(self, seconds: float) -> None:
        """Adds a sleep."""
        super().append(seconds)
        self.total += seconds


@dataclass(frozen=True)
class JumpingIO:
    """An IO in virtual time: a sleep takes none, and a call is a call."""

    deadline: float = math.inf
    sleeps: Sleeps = field(default_factory=Sleeps)
    start: float = 1000.0

    def now(self) -> float:
        """Returns the time at which the clock stands."""
        return self.start + self.sleeps.total

    def until(self, deadline: float) -> Self:
        """Returns the same with an earlier deadline, on the same clock."""
        return replace(self, deadline=min(deadline, self.deadline))

    def last(self, seconds: float) -> Self:
        """Returns the same for so many seconds, on the same clock."""
        return replace(self, deadline=self.now() + seconds)

    async def sleep(self, seconds: float, *, is_poll: bool = False) -> None:
        """Puts the clock forward, at most to the deadline."""
        self.sleeps.append(max(0.0, min(seconds, self.deadline - self.now())))

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a request returns, which takes no time."""
        check_deadline(self)
        return function(*args, **kwargs)


def sample(name: str) -> Any:
    """Returns a recorded body."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def sample_run(name: str, **changes: Any) -> dict[str, Any]:
    """Returns a recorded answer with a run, some fields of the run changed."""
    body: dict[str, Any] = sample(name)
    body["data"].update(changes)
    return body


def list_of(*runs: Any) -> dict[str, Any]:
    """Returns the API's list of these runs, all on one page."""
    pagination = {"count": len(runs), "total_count": len(runs)}
    return {"status": {"code": 200}, "data": runs, "extra": {"pagination": pagination}}


def answer_trigger(name: str = "run_queued", **changes: Any) -> Callable[..., Response]:
    """Returns a callback that creates a recorded run. As the API does, it echoes the request."""

    def answer(request: requests.PreparedRequest) -> Response:
        body = sample_run(name, **{"trigger": json.loads(request.body or "null"), **changes})
        return 200, {}, json.dumps(body)

    return answer


@dataclass
class PlayedJob:
    """A job of dbt Cloud over `responses`, in virtual time: one run at a time, the oldest first.

    Attributes:
        api: What answers.
        io: The clock.
        lag: Seconds until the list shows a new run.
        queued: Seconds until a new run starts, if it is the next.
        ran: Seconds that a run takes.
        outcome: Their status at the end.
        retried_outcome: That of retries.
        retry_changes: What is different in how the API shows retries.
        runs: The runs, by id.
        sent: When triggers came, in seconds since the clock started.
        looked: When the list was read.
    """

    api: responses.RequestsMock
    io: JumpingIO
    lag: float = 0.0
    queued: float = 5.0
    ran: float = 30.0
    outcome: int = 10
    retried_outcome: int = 10
    retry_changes: dict[str, Any] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    sent: list[float] = field(default_factory=list)
    looked: list[float] = field(default_factory=list)
    _faults: dict[str, list[tuple[Fault, bool]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one = rf"{ACCOUNT}/runs/\d+/"
        for method, url, answer in (
            ("POST", f"{ACCOUNT}/jobs/{JOB_ID}/run/$", self._trigger),
            ("GET", rf"{ACCOUNT}/runs/\?", self._list),
            ("GET", rf"{one}(\?|$)", self._read),
            ("POST", f"{one}cancel/$", self._cancel),
            ("POST", f"{one}retry/$", self._retry),
            ("GET", f"{one}artifacts/", lambda _: (404, {}, json.dumps(sample("404")))),
        ):
            self.api.add_callback(method, re.compile(url), answer)

    @property
    def time(self) -> float:
        """Seconds since the clock started."""
        return self.io.now() - self.io.start

    @property
    def statuses(self) -> list[int]:
        """The statuses of all runs now, the oldest first."""
        free_at, found = 0.0, []
        for run in self.runs.values():
            starts_at = max(run["at"] + self.queued, free_at)
            status = 1 if self.time < starts_at else 3
            outcome = self.retried_outcome if run["changes"] else self.outcome
            status = outcome if self.time >= starts_at + self.ran else status
            if run["cancelled_at"] <= self.time:
                status = 30
            found.append(run["status"] or status)
            is_over = run["status"] or status == 30
            free_at = free_at if is_over else starts_at + self.ran
        return found

    def fail(self, operation: str, *faults: Fault, acts: bool = False) -> None:
        """Has the next requests fail, before or after the API has acted.

        Args:
            operation: `trigger`, `retry`, `list`, `read` or `cancel`.
            faults: What happens, one after the other.
            acts: Whether the API acts all the same.
        """
        self._faults.setdefault(operation, []).extend((fault, acts) for fault in faults)

    def create(self, trigger: Mapping[str, Any], status: int = 0, **changes: Any) -> int:
        """Creates a run, and returns its id. With a status it stays in it."""
        run_id = RUN_ID + len(self.runs)
        run = {"at": self.time, "status": status, "trigger": trigger, "changes": changes}
        self.runs[run_id] = {**run, "cancelled_at": math.inf}
        return run_id

    def _trigger(self, request: requests.PreparedRequest) -> Response:
        self.sent.append(self.time)
        fault, acts = self._next("trigger")
        run_id = self.create(json.loads(request.body or "{}")) if acts else 0
        return _failed(fault) or _answer(self._shown(run_id))

    def _list(self, request: requests.PreparedRequest) -> Response:
        self.looked.append(self.time)
        fault, _ = self._next("list")
        shown = [self._shown(i) for i in self.runs if self.runs[i]["at"] + self.lag <= self.time]
        if "status" in parse_qs(urlsplit(request.url or "").query):
            shown = []  # the job has no history
        date = format_datetime(EPOCH + timedelta(seconds=self.time), usegmt=True)
        return _failed(fault) or (200, {"Date": date}, json.dumps(list_of(*shown[::-1])))

    def _read(self, request: requests.PreparedRequest) -> Response:
        fault, _ = self._next("read")
        return _failed(fault) or _answer(self._shown(_run_id(request)))

    def _cancel(self, request: requests.PreparedRequest) -> Response:
        fault, acts = self._next("cancel")
        if acts:
            self.runs[_run_id(request)]["cancelled_at"] = self.time
        return _failed(fault) or _answer(self._shown(_run_id(request)))

    def _retry(self, request: requests.PreparedRequest) -> Response:
        self.sent.append(self.time)
        fault, acts = self._next("retry")
        trigger = {"cause": "Rerun of a run", "cause_category": "rerun"}
        retried = {"retrying_run_id": _run_id(request), **self.retry_changes}
        run_id = self.create(trigger, **retried) if acts else 0
        return _failed(fault) or _answer(self._shown(run_id))

    def _next(self, operation: str) -> tuple[Fault, bool]:
        """Returns the fault of a request, and whether the API acts."""
        faults = self._faults.get(operation)
        return faults.pop(0) if faults else (None, True)

    def _shown(self, run_id: int) -> dict[str, Any]:
        """Returns a run as the API shows it now."""
        run, status = self.runs[run_id], self.statuses[list(self.runs).index(run_id)]
        name = SAMPLE_OF.get(status, "run_success")
        return {
            **sample(name)["data"],
            "id": run_id,
            "status": status,
            "trigger": run["trigger"],
            "created_at": str(EPOCH + timedelta(seconds=run["at"])),
            "href": f"{HOST}/runs/{run_id}/",
            **run["changes"],
        }


def _failed(fault: Fault) -> Response | None:
    if isinstance(fault, BaseException):
        raise fault
    if isinstance(fault, str):
        return 200, {}, fault
    return (fault, {}, "") if fault else None


def _answer(run: dict[str, Any]) -> Response:
    return 200, {}, json.dumps({"status": {"code": 200}, "data": run})


def _run_id(request: requests.PreparedRequest) -> int:
    return int(urlsplit(request.url or "").path.split("/runs/")[1].split("/")[0])


def configured(**settings: Any) -> DBTCloudConfiguration:
    """Returns resolved settings of a job on a cell account, some of them changed."""
    given = {
        "api_token": TOKEN,
        "account_id": "70403103922125",
        "job_id": str(JOB_ID),
        "base_api_url": HOST,
        "progress": "off",
        **settings,
    }
    return resolve_dbt_cloud_configuration(DBTCloudConfiguration(**given))


def bodies(mock: responses.RequestsMock, method: str = "POST") -> list[Any]:
    """Returns the JSON bodies of the requests that were made."""
    made = [call.request for call in mock.calls]
    return [json.loads(request.body or "null") for request in made if request.method == method]
