"""How many runs one call creates if the answer to its trigger is lost.

As in `detection`, on a simulated clock and through a fake API in place of the network, which lists
the runs that it has created, with their causes. The helper's own pauses between attempts are real.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import requests
from requests import PreparedRequest, Response

from .contenders import run_helper, run_ours
from .fake_api import JOB, RUN, FakeAPI, sample
from .text import reach, table, title

LENGTH: Final = 60
LOST: Final[dict[str, tuple[bool, int | Exception]]] = {
    "502 after the run was created": (True, 502),
    "connection dropped after it": (True, requests.ConnectionError("dropped")),
    "time-out after it": (True, requests.ReadTimeout("timed out")),
    "login page after it": (True, 200),
    "500 before it was created": (False, 500),
    "three 502 after a run each": (True, 502),
}
"""What happens to the trigger: whether a run is created, and the answer."""


@dataclass
class LossyAPI(FakeAPI):
    """The API that loses the answers to the first triggers.

    Attributes:
        creates: Whether these create a run all the same.
        instead: What comes instead of the answer: a status with HTML, or an exception.
        losses: How many answers are lost.
        causes: The cause of each run that was created.
    """

    creates: bool = True
    instead: int | Exception = 502
    losses: int = 1
    causes: list[str] = field(default_factory=list)

    def answer(self, request: PreparedRequest) -> Response:
        """Answers a request, or loses the answer."""
        if request.method == "POST" and str(request.url).rstrip("/").endswith("/run"):
            self.losses -= 1
            if self.creates or self.losses < 0:
                self.causes.append(str(json.loads(request.body or "{}").get("cause")))
            if self.losses >= 0 and isinstance(self.instead, Exception):
                raise self.instead
        return super().answer(request)

    def _answer(self, method: str | None, url: str) -> tuple[int, bytes]:
        if method == "POST" and self.losses >= 0:
            assert isinstance(self.instead, int)
            return self.instead, b"<html>"
        if "/runs/?" in url and "status=10" not in url:
            runs = [self._listed(number) for number in range(len(self.causes))]
            return 200, json.dumps({**sample("runs"), "data": runs[::-1]}).encode()
        return super()._answer(method, url)

    def _listed(self, number: int) -> dict[str, Any]:
        run = sample("run_queued")["data"]
        trigger = {"cause": self.causes[number]}
        return {**run, "id": RUN + number, "job_definition_id": JOB, "trigger": trigger}


def runs_of(contender: Callable[[FakeAPI], None], name: str) -> str:
    """Returns how many runs a call creates, and how it ends."""
    creates, instead = LOST[name]
    losses = 3 if name.startswith("three") else 1
    api = LossyAPI(LENGTH, creates=creates, instead=instead, losses=losses)
    try:
        with api.plugged_in():
            contender(api)
    except Exception as error:  # noqa: BLE001  # how it ends is the figure
        return f"{len(api.causes)}, {type(error).__name__}"
    return f"{len(api.causes)}, returned"


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("Runs that one call creates if the answer to its trigger is lost")
    rows = [[name, runs_of(run_ours, name), runs_of(run_helper, name)] for name in LOST]
    yield from table(("what is lost", "ours", "helper"), rows)
    single = [ours for name, ours, _ in rows if not name.startswith("three")]
    holds = all(ours == "1, returned" for ours in single)
    yield reach("one run for each call, and it is returned", holds=holds)
