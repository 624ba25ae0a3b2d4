"""A server on loopback with a history of runs that it makes up as it goes.

`python -m tests.benchmarks.stub_history RUNS PROJECT` prints its port, and serves until its
standard input is closed. Each run has four steps, of which the last has built 200 nodes. PROJECT
is the number of nodes in the manifest, of 10 kB each.
"""

import json
import re
import sys
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from tests.utils import sample

from .stub import Handler, serve

NODES: Final = 200
PLACE: Final = 4_000_000_000_000_000_000
"""Stands for the id of a run in the bodies."""
SOURCE: Final = "source.flights.raw.flights"
CODE: Final = "select flights.*, weather.wind_speed from flights left join weather using (hour)\n"
CAUSE: Final = "dlt pipeline flights loaded dataset nyc: 1795458706.2138786 [dlt:0011223344556677]"


def node(index: int) -> dict[str, Any]:
    """Returns a node of a `run_results.json`."""
    started, finished = "2024-06-05T10:00:05.052547Z", "2024-06-05T10:01:53.302975Z"
    timing = {"started_at": started, "completed_at": finished}
    return {
        "unique_id": f"model.flights.model_{index}",
        "status": "success",
        "timing": [{"name": name, **timing} for name in ("compile", "execute")],
        "thread_id": "Thread-1",
        "execution_time": 1.5,
        "adapter_response": {"_message": "OK", "rows_affected": 336776, "bytes_processed": 123456},
        "message": "OK created table model",
        "failures": None,
        "compiled": True,
        "compiled_code": 5 * CODE,
        "relation_name": f'"flights"."analytics"."model_{index}"',
    }


def run_body() -> bytes:
    """Returns a run with its steps."""
    envelope = sample("run_success_related")
    envelope["data"] |= {"id": PLACE}
    return json.dumps(envelope).encode()


def item_body() -> bytes:
    """Returns a run as it is in a list."""
    run = sample("run_success_related")["data"]
    run["trigger"]["cause"] = CAUSE
    return json.dumps({**run, "id": PLACE, "run_steps": []}).encode()


def results_body() -> bytes:
    """Returns a `run_results.json`."""
    results = sample("run_results")
    results["metadata"]["invocation_id"] = str(PLACE)
    return json.dumps({**results, "results": [node(index) for index in range(NODES)]}).encode()


def manifest_body(count: int) -> bytes:
    """Returns a `manifest.json` of so many nodes. Each ten of them are a chain."""
    nodes = {
        f"model.flights.model_{index}": {
            "resource_type": "model",
            "name": f"model_{index}",
            "original_file_path": f"models/model_{index}.sql",
            "config": {"materialized": "table"},
            "tags": ["nightly"],
            "depends_on": {"nodes": [f"model.flights.model_{index - 1}" if index % 10 else SOURCE]},
            "raw_code": 60 * CODE,
            "compiled_code": 60 * CODE,
        }
        for index in range(count)
    }
    source = {"source_name": "raw", "name": "flights", "resource_type": "source"}
    metadata = {"project_name": "flights"}
    sources = {SOURCE: source}
    return json.dumps({"metadata": metadata, "nodes": nodes, "sources": sources}).encode()


class History(Handler):
    """Answers with the runs 1 to `last`."""

    last: ClassVar[int]
    run: ClassVar[bytes] = run_body()
    item: ClassVar[bytes] = item_body()
    results: ClassVar[bytes] = results_body()
    manifest: ClassVar[bytes]

    def answer(self) -> bytes:
        """Returns a list of runs, a run, or what it has built."""
        url = urlsplit(self.path)
        found = re.search(r"/runs/(\d+)/(artifacts/)?", url.path)
        if not found:
            return self._listed(dict(parse_qsl(url.query)))
        if url.path.endswith("manifest.json"):
            return self.manifest
        body = self.results if found[2] else self.run
        return body.replace(b"%d" % PLACE, found[1].encode())

    def _listed(self, query: dict[str, str]) -> bytes:
        first = int(query.get("offset", 0)) + 1
        ids = range(first, min(first + int(query["limit"]), self.last + 1))
        pagination = {"count": len(ids), "total_count": self.last}
        envelope = {**sample("runs"), "data": "<runs>", "extra": {"pagination": pagination}}
        runs = b",".join(self.item.replace(b"%d" % PLACE, b"%d" % run_id) for run_id in ids)
        return json.dumps(envelope).encode().replace(b'"<runs>"', b"[%b]" % runs)


if __name__ == "__main__":
    History.last, History.manifest = int(sys.argv[1]), manifest_body(int(sys.argv[2]))
    serve(History)
