"""What it costs to wait for many runs, and how long after their ends they are seen to have ended.

Runs of one account start together and take 5 minutes, scattered by 10 %. They are watched through a
fake API in place of the network, on a simulated clock on which requests take no time. dlt's helper
waits for one run, so it is called for one after the other in one thread, or in a thread for each:
then each thread has a clock of its own. `wait_seconds` is 10, the default of both. Waits for few
runs are repeated until a hundred runs have been waited for, so that no end is in luck.
"""

import json
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from dlt.helpers import dbt_cloud as helper
from dlt.helpers.dbt_cloud.configuration import DBTCloudConfiguration as HelperConfiguration
from requests import PreparedRequest, Response

from dlt_dbt_cloud import DBTCloudClientV2
from dlt_dbt_cloud._call import follow_runs
from dlt_dbt_cloud._io import run
from dlt_dbt_cloud._values import clock

from .contenders import TOKEN, ours_config
from .fake_api import JOB, Clock, ClockIO, FakeAPI, sample
from .text import reach, table, title

LENGTH: Final = 300
SCATTER: Final = 0.1
NUMBERS: Final = (1, 10, 100)
MOST: Final = max(NUMBERS)
RUNNING: Final = sample("run_running")["data"]
SUCCESS: Final = sample("run_success")["data"]


class ThreadClock(Clock):
    """A clock that shows to each thread the time that this one has slept."""

    def __init__(self) -> None:
        super().__init__()
        self._own = threading.local()

    def now(self) -> float:
        """Returns the seconds slept in this thread."""
        return float(getattr(self._own, "seconds", 0.0))

    def sleep(self, seconds: float) -> None:
        """Sleeps, in no time."""
        self._own.seconds = self.now() + seconds


@dataclass
class ManyRunsAPI(FakeAPI):
    """The API for several runs.

    Attributes:
        ends: When each run ends, by its id.
        seen: When each run was first answered to have ended.
        rounds: The times at which there were requests, by thread.
        threads: Those that have sent requests.
    """

    clock: Clock = field(default_factory=ThreadClock)
    ends: Mapping[int, float] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)
    rounds: set[tuple[str, float]] = field(default_factory=set)
    threads: set[threading.Thread] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: PreparedRequest) -> Response:
        """Answers a request."""
        with self.lock:
            thread = threading.current_thread()
            self.threads.add(thread)
            self.rounds.add((thread.name, self.clock.now()))
            return super().answer(request)

    def _answer(self, method: str | None, url: str) -> tuple[int, bytes]:
        one = re.search(r"/runs/(\d+)/?$", urlsplit(url).path)
        if one:
            envelope = {**sample("run_success"), "data": self._shown(int(one[1]))}
        else:
            ids = json.loads(parse_qs(urlsplit(url).query)["pk__in"][0])
            envelope = {**sample("runs"), "data": [self._shown(run_id) for run_id in ids]}
        return 200, json.dumps(envelope).encode()

    def _shown(self, run_id: int) -> dict[str, Any]:
        now, identity = self.clock.now(), {"id": run_id, "job_definition_id": JOB, "job_id": JOB}
        if now < self.ends[run_id]:
            return {**RUNNING, **identity, "run_duration": clock(now)}
        self.seen.setdefault(run_id, now)
        return {**SUCCESS, **identity, "run_duration": clock(self.ends[run_id])}


def ours(api: ManyRunsAPI) -> None:
    """Waits for all runs with this package."""
    config = ours_config()
    client = DBTCloudClientV2(credentials=config, outage_timeout=0)
    run(follow_runs(ClockIO(api.clock), client, config, list(api.ends)))


def helper_for(run_id: int) -> None:
    """Waits for a run with dlt's helper."""
    credentials = HelperConfiguration(api_token=TOKEN, account_id="1")
    helper.get_dbt_cloud_run_status(credentials, run_id)


def helper_in_turn(api: ManyRunsAPI) -> None:
    """Waits for one run after the other."""
    for run_id in api.ends:
        helper_for(run_id)


def helper_threads(api: ManyRunsAPI) -> None:
    """Waits for each run in a thread."""
    threads = [threading.Thread(target=helper_for, args=(run_id,)) for run_id in api.ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


CONTENDERS: Final[dict[str, Callable[[ManyRunsAPI], None]]] = {
    "ours": ours,
    "helper, in turn": helper_in_turn,
    "helper, threads": helper_threads,
}


@dataclass(frozen=True)
class Cost:
    """What waits for so many runs cost.

    Attributes:
        requests: For a wait, in the mean.
        rounds: Of requests at the same time in the same thread, for a wait, in the mean.
        threads: The most that have sent requests.
        delays: Seconds from the end of each run to the answer that told it.
    """

    requests: float
    rounds: float
    threads: int
    delays: Sequence[float]

    @property
    def mean_delay(self) -> float:
        """Seconds, in the mean."""
        return fmean(self.delays)

    def row(self, number: int, name: str) -> list[str]:
        """Returns a row of the table."""
        delays = [f"{self.mean_delay:.1f} s", f"{max(self.delays):.1f} s"]
        return [f"{number} by {name}", f"{self.requests:.0f}", f"{self.threads}", *delays]


def scattered_ends() -> list[float]:
    """Returns a hundred ends that scatter around the length, in no order."""
    durations = NormalDist(LENGTH, SCATTER * LENGTH)
    ends = [durations.inv_cdf((i + 0.5) / MOST) for i in range(MOST)]
    random.Random(0).shuffle(ends)  # noqa: S311  # the same in each run of the benchmarks
    return ends


def waited(contender: Callable[[ManyRunsAPI], None], ends: Sequence[float]) -> ManyRunsAPI:
    """Waits for runs that end so. Returns the API that was asked."""
    api = ManyRunsAPI(max(ends), ends=dict(enumerate(ends, start=1)))
    with api.plugged_in():
        contender(api)
    return api


def cost(contender: Callable[[ManyRunsAPI], None], number: int) -> Cost:
    """Waits for so many runs at once, as often as there are ends for it."""
    ends = scattered_ends()
    apis = [waited(contender, ends[i : i + number]) for i in range(0, MOST, number)]
    return Cost(
        fmean(api.requests for api in apis),
        fmean(len(api.rounds) for api in apis),
        max(len(api.threads) for api in apis),
        [api.seen[run_id] - end for api in apis for run_id, end in api.ends.items()],
    )


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title(f"Waiting for many runs of {LENGTH // 60} min at once")
    costs = {(n, name): cost(wait, n) for n in NUMBERS for name, wait in CONTENDERS.items()}
    header = ("runs", "requests", "threads", "mean delay", "worst")
    yield from table(header, [c.row(*key) for key, c in costs.items()])
    mine, threads = costs[MOST, "ours"], costs[MOST, "helper, threads"]
    extra = max(costs[n, "ours"].requests - costs[n, "ours"].rounds for n in NUMBERS)
    yield reach(
        f"one request a poll, and one or two for each finished run: {extra:.0f} for {MOST}",
        holds=extra <= 2 * MOST,
    )
    yield reach(f"one thread for {MOST} runs: {mine.threads}", holds=mine.threads == 1)
    ratio = round(mine.mean_delay / threads.mean_delay, 2)
    yield reach(
        f"mean delay for {MOST} runs not above that of a thread for each: {ratio:.2f}",
        holds=ratio <= 1,
    )
    yield f"requests for {MOST} runs: {mine.requests / threads.requests:.1%} of those"
