"""What the API and `run_results.json` tell, as rows of the tables."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud._start.load import LoadCause
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRunStatus
from dlt_dbt_cloud.sources.tables import (
    NODE_RESULTS,
    RUN_LOADS,
    RUN_STEPS,
    RUNS,
    Row,
    as_dict,
    as_dicts,
    seconds_between,
)

RECENT: Final = timedelta(minutes=10)
"""How long after a step its artifacts may still be on their way, with room for unequal clocks."""

KNOWN_SCHEMAS: Final = re.compile(r"/run-results/v[1-6]\.json$")
"""The schema versions of `run_results.json`, dbt 0.19 and later, that have what is read here."""

WITHOUT_RESULTS: Final = re.compile(r"`dbt (clean|compile|debug|deps|docs|list|ls|parse|source)\b")
"""Steps that build and test nothing."""

COMPILE_ONLY: Final = frozenset({"compile", "generate", "list", "show"})
"""The commands whose `run_results.json` calls nodes a success that were compiled, not built."""


def run_row(run: DBTCloudRun, cause: LoadCause | None) -> Row:
    """Returns a run as a row.

    Left out is what changes after a run has ended, such as `can_retry` or "2 weeks ago".
    """
    trigger = as_dict(run.get("trigger"))
    values = {
        "run_id": run.id,
        "job_id": run.get("job_definition_id"),
        "job_name": as_dict(run.get("job")).get("name"),
        "status_name": run.status_name,
        "queued_seconds": seconds_between(run.get("created_at"), run.get("started_at")),
        "run_seconds": seconds_between(run.get("started_at"), run.get("finished_at")),
        "cause": trigger.get("cause"),
        "cause_category": trigger.get("cause_category"),
        "url": run.get("href"),
    }
    return RUNS.row({**run, **values, **(cause._asdict() if cause else {})})


def has_ended(row: Row) -> bool:
    """Tells whether a run, as a row, has its steps and results."""
    going = (DBTCloudRunStatus.QUEUED, DBTCloudRunStatus.STARTING, DBTCloudRunStatus.RUNNING)
    return row["status"] not in going


def load_rows(run: Row, load_info: LoadInfo | None = None) -> list[Row]:
    """Returns the loads that a run, as a row, was triggered for or is said to transform."""
    loads = dict.fromkeys(run["load_ids"] or (), run)
    if load_info is not None:
        given = {
            "pipeline_name": load_info.pipeline.pipeline_name,
            "dataset_name": load_info.dataset_name,
        }
        loads.update(dict.fromkeys(load_info.loads_ids, given))
    return [
        RUN_LOADS.row({**load, "run_id": run["run_id"], "load_id": load_id})
        for load_id, load in loads.items()
    ]


def step_row(run_id: int, index: int, step: Mapping[str, Any]) -> Row:
    """Returns a step as a row."""
    values = {
        "run_id": run_id,
        "step_index": step.get("index") or index,
        "step_id": step.get("id"),
        "status_name": step.get("status_humanized"),
        "step_seconds": seconds_between(step.get("started_at"), step.get("finished_at")),
    }
    return RUN_STEPS.row({**step, **values})


def may_have_results(step: Row) -> bool:
    """Tells whether a step may have built or tested nodes, by its name."""
    name = step["name"] or ""
    return "Invoke dbt" in name and not WITHOUT_RESULTS.search(name)


def is_recent(step: Row) -> bool:
    """Tells whether dbt Cloud may still be storing the artifacts of a step."""
    finished_at = step["finished_at"]
    return finished_at is not None and datetime.now(timezone.utc) - finished_at < RECENT


def nodes_in(results: Mapping[str, Any], step: Row) -> list[Row]:
    """Returns the nodes in a `run_results.json`, of whatever schema version, as far as they go."""
    metadata, args = as_dict(results.get("metadata")), as_dict(results.get("args"))
    if args.get("which") in COMPILE_ONLY:
        return []
    if not KNOWN_SCHEMAS.search(str(metadata.get("dbt_schema_version"))):
        version = metadata.get("dbt_schema_version")
        warn(step, f"has a run_results.json of schema {version}: it is loaded as far as it goes.")
    common = {
        "run_id": step["run_id"],
        "step_index": step["step_index"],
        "command": args.get("which"),
        "invocation_id": metadata.get("invocation_id"),
    }
    nodes = [node for node in as_dicts(results.get("results")) if node.get("unique_id")]
    return [NODE_RESULTS.row({**node_values(node), **common}) for node in nodes]


def node_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry of a `run_results.json` with what is written in it further down."""
    resource_type, *rest = str(result["unique_id"]).split(".", maxsplit=2)
    name = rest[-1] if rest else ""
    timing = as_dicts(result.get("timing")) or [{}]
    return {
        **result,
        "resource_type": resource_type,
        # Of a test it is followed by a hash.
        "name": name.partition(".")[0] if resource_type == "test" else name,
        "rows_affected": as_dict(result.get("adapter_response")).get("rows_affected"),
        "started_at": timing[0].get("started_at"),
        "finished_at": timing[-1].get("completed_at"),
    }


def warn(step: Row, what: str) -> None:
    """Logs what is missing of a step."""
    logger.warning("Step %s of run %s %s", step["step_index"], step["run_id"], what)
