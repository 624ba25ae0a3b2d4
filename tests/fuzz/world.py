"""A dbt Cloud in memory whose answers a test may replace by any text."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from dlt_dbt_cloud._http.responses import http_exception, without_token
from tests.utils import JOB_ID, RUN_ID
from tests.utils import sample as read_sample

sample = functools.cache(read_sample)

Mutate = Callable[[Any], str]


def envelope(data: Any) -> dict[str, Any]:
    """Returns data as the API wraps it."""
    return {"status": {"code": 200, "is_success": True, "user_message": "Success!"}, "data": data}


def page(*items: Any) -> dict[str, Any]:
    """Returns the only page of a list."""
    pagination = {"count": len(items), "total_count": len(items)}
    return {**envelope(list(items)), "extra": {"pagination": pagination}}


def sample_run(name: str, **changes: Any) -> dict[str, Any]:
    """Returns a recorded answer with a run, some fields of the run changed."""
    return {**sample(name), "data": {**sample(name)["data"], **changes}}


@functools.cache
def history() -> list[dict[str, Any]]:
    """Returns the run of a test, and earlier ones that succeeded."""
    newest = sample("run_error_related")["data"]
    earlier = [sample_run("run_success_related", id=RUN_ID - n)["data"] for n in range(1, 4)]
    return [newest, *earlier]


@dataclass
class World:
    """Answers requests: the run is in progress at first and has failed at the second poll.

    Attributes:
        changes: What is answered instead of the right body, by kind of request.
        everything: What is answered to all requests instead.
        status: HTTP status of the answers.
        polls: How often the run was polled.
        kinds: Which kinds of requests were made.
    """

    changes: dict[str, Mutate] = field(default_factory=dict)
    everything: str | None = None
    status: int = 200
    polls: int = 0
    kinds: set[str] = field(default_factory=set)

    def receive(self, method: str, url: str, _: int, **content: Any) -> str:
        """Answers a request like `Transport._receive`, without a socket."""
        kind, body = self.answer(method, urlsplit(url).path, content.get("json"))
        self.kinds.add(kind)
        change = self.changes.get(kind)
        text = self.everything or (change(body) if change else json.dumps(body))
        if self.status != 200:
            answer = requests.Response()
            answer.status_code = self.status
            body = bytearray(text.encode(errors="surrogatepass"))
            raise http_exception(without_token(answer, method, url, body, str))
        return text

    def answer(self, method: str, path: str, content: Any) -> tuple[str, Any]:
        """Returns what kind of request it is, and the right body."""
        path, _, last = path.strip("/").rpartition("/")
        if method == "POST":
            return self._post(last, content)
        lists = {"runs": page(*history()), "jobs": sample("jobs"), "artifacts": sample("artifacts")}
        retry = envelope({"failed_step": {"index": 4}, "skipped_steps": []})
        fixed = {**lists, "retry": retry, "run_results.json": sample("run_results")}
        if last in {"manifest.json", "sources.json"}:
            return last.removesuffix(".json"), {}
        if last in fixed:
            return last.removesuffix(".json"), fixed[last]
        assert last.isdigit(), path  # a ValueError would pass for trouble of the network
        if path.endswith("/jobs"):
            return "job", envelope({**sample("jobs")["data"][0], "id": int(last)})
        self.polls += 1
        name = "run_running" if self.polls == 1 else "run_error_related"
        return "run", sample_run(name, id=int(last))

    def _post(self, operation: str, body: Any) -> tuple[str, Any]:
        if operation == "cancel":
            return operation, sample("run_cancelled_by_user")
        if operation == "retry":
            return operation, sample_run("run_queued", id=RUN_ID + 1, retrying_run_id=RUN_ID)
        trigger = {**sample("run_success_related")["data"]["trigger"], **(body or {})}
        return "trigger", sample_run("run_queued", job_definition_id=JOB_ID, trigger=trigger)
