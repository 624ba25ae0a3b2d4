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


STEP = sample("run_error_related")["data"]["run_steps"][-1]
SOURCE_ID, NODE_ID = "source.flights.raw.flights", "model.flights.delays"
MANIFEST = {
    "metadata": {"project_name": "flights", "adapter_type": "duckdb"},
    "nodes": {
        NODE_ID: {
            "resource_type": "model",
            "name": "delays",
            "original_file_path": "models/delays.sql",
            "config": {"materialized": "table", "tags": ["nightly"]},
            "depends_on": {"nodes": [SOURCE_ID]},
            "raw_code": "select 1",
        }
    },
    "sources": {
        SOURCE_ID: {
            "resource_type": "source",
            "source_name": "raw",
            "name": "flights",
            "database": "nyc",
            "schema": "raw",
            "identifier": "flights",
            "relation_name": '"nyc"."raw"."flights"',
        }
    },
    "parent_map": {NODE_ID: [SOURCE_ID]},
    "selectors": {"all": {"default": False}},
}
FRESHNESS = {
    "results": [
        {
            "unique_id": SOURCE_ID,
            "status": "pass",
            "max_loaded_at": "2024-06-05T10:00:00Z",
            "snapshotted_at": "2024-06-05T10:00:05Z",
            "max_loaded_at_time_ago_in_s": 5.0,
            "criteria": {"error_after": {"count": 1, "period": "day"}},
        }
    ]
}


@functools.cache
def success(run_id: int) -> dict[str, Any]:
    """Returns an earlier run, which has built everything."""
    data = sample("run_success_related")["data"]
    job = {**data["job"], "execute_steps": ["dbt build"]}
    trigger = {**data["trigger"], "steps_override": None}
    return {**data, "id": run_id, "job": job, "trigger": trigger}


@functools.cache
def history() -> list[dict[str, Any]]:
    """Returns the run of a test, and earlier ones that succeeded."""
    newest = sample("run_error_related")["data"]
    return [newest, *(success(RUN_ID - number) for number in range(1, 4))]


@dataclass
class World:
    """Answers requests. The run is in progress at the first poll and has failed at the second.

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
        text = self.everything or self.answer(method, urlsplit(url).path, content.get("json"))
        if self.status != 200:
            answer = requests.Response()
            answer.status_code = self.status
            body = bytearray(text.encode(errors="surrogatepass"))
            raise http_exception(without_token(answer, method, url, body, str))
        return text

    def answer(self, method: str, path: str, content: Any) -> str:
        """Returns the answer to a request, changed if a test wants that."""
        kind, body = self._right(method, path, content)
        self.kinds.add(kind)
        change = self.changes.get(kind)
        return change(body) if change else json.dumps(body)

    def _right(self, method: str, path: str, content: Any) -> tuple[str, Any]:
        """Returns what kind of request it is, and the right body."""
        path, _, last = path.strip("/").rpartition("/")
        if method == "POST":
            return self._post(last, content)
        fixed = {
            "runs": page(*history()),
            "jobs": sample("jobs"),
            "run_results.json": sample("run_results"),
            "manifest.json": MANIFEST,
            "sources.json": FRESHNESS,
        }
        if last in fixed:
            return last.removesuffix(".json"), fixed[last]
        assert last.isdigit(), path  # a ValueError would pass for trouble of the network
        if path.endswith("/jobs"):
            return "job", envelope({**sample("jobs")["data"][0], "id": int(last)})
        return (
            ("step", envelope(STEP)) if path.endswith("/steps") else ("run", self._run(int(last)))
        )

    def _run(self, run_id: int) -> dict[str, Any]:
        if run_id < RUN_ID:
            return envelope(success(run_id))
        self.polls += 1
        if self.polls == 1:
            return sample_run("run_running", id=run_id, run_steps=[{**STEP, "logs": None}])
        return sample_run("run_error_related", id=run_id)

    def _post(self, operation: str, body: Any) -> tuple[str, Any]:
        if operation == "cancel":
            return operation, sample("run_cancelled_by_user")
        if operation == "retry":
            return operation, sample_run("run_queued", id=RUN_ID + 1, retrying_run_id=RUN_ID)
        trigger = {**sample("run_success_related")["data"]["trigger"], **(body or {})}
        return "trigger", sample_run("run_queued", job_definition_id=JOB_ID, trigger=trigger)
