"""Makes rows of the tables from what the API and the artifacts hold."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud._report import only_compiles
from dlt_dbt_cloud._values import dict_of, int_of, list_of, moment, str_of
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRunStatus
from dlt_dbt_cloud.run.log import log_tail
from dlt_dbt_cloud.run.node import name_of
from dlt_dbt_cloud.sources.manifests import Manifest
from dlt_dbt_cloud.sources.schema import FRESHNESS, NODE_RESULTS, RUN_LOADS, RUN_STEPS, RUNS
from dlt_dbt_cloud.sources.tables import Row

KNOWN_SCHEMAS: Final = re.compile(r"/run-results/v[1-6]\.json$")
"""The schema versions of `run_results.json` that are known: dbt 0.19 and later."""


class RunRow(Row):
    """A row of `dbt_cloud_runs`, with the rows that belong to it in the other tables.

    Attributes:
        has_ended: Whether the run has finished.
        is_refused: Whether the API refused a detail. A detail may also just be missing.
        manifest: What is known of its project.
    """

    has_ended: bool
    is_refused: bool
    loads: list[Row]
    steps: list[Row]
    nodes: list[Row]
    freshness: list[Row]
    manifest: Manifest | None

    def forget_details(self) -> None:
        """Removes all details, before they are read or read again."""
        self.steps, self.nodes, self.is_refused, self["load_error"] = [], [], False, None
        self.freshness, self.manifest = [], None

    def take(self, part: str) -> list[Row]:
        """Returns the loads, steps, nodes or freshness, and releases them: they are many."""
        rows: list[Row] = getattr(self, part)
        setattr(self, part, [])
        return rows

    def lacks(self, what: str, why: DBTCloudAPIException | str) -> None:
        """Adds to `load_error` what could not be loaded."""
        problem = f"{what}: {str_of(str(why))}"
        logger.warning("Run %d is loaded without all details. %s", self["run_id"], problem)
        self.is_refused = self.is_refused or not isinstance(why, str)
        self["load_error"] = "\n".join(filter(None, [self["load_error"], problem]))


def _are_complete(causes: Sequence[Load]) -> bool:
    """Returns True if the last cause is complete, and has all loads that cut causes name."""
    last = causes[-1]
    known = {*last.load_ids}
    return last.are_load_ids_complete and all(
        cause.are_load_ids_complete or {*cause.load_ids} <= known for cause in causes
    )


def run_row(run: DBTCloudRun, causes: Sequence[Load | None]) -> RunRow:
    """Returns a run as a row, with its loads.

    Fields that change after a run has finished are left out, such as `can_retry` or "2 weeks ago".

    Args:
        run: The run.
        causes: What is known of its loads. The last one wins.
    """
    named = [cause for cause in causes if cause]
    loads = {load_id: cause for cause in named for load_id in cause.load_ids}
    trigger, job = dict_of(run.get("trigger")), dict_of(run.get("job"))
    values = {
        **run,
        "run_id": run.id,
        "job_id": run.get("job_definition_id"),
        "job_name": job.get("name"),
        "project_name": dict_of(job.get("project")).get("name"),
        "status_name": run.status_name,
        "queued_seconds": seconds_between(run.get("created_at"), run.get("started_at")),
        "run_seconds": seconds_between(run.get("started_at"), run.get("finished_at")),
        "cause": trigger.get("cause"),
        "cause_category": trigger.get("cause_category"),
        "url": run.get("href"),
        "load_error": None,
        **(named[-1]._asdict() if named else {}),
    }
    if named:
        values["load_ids"] = list(loads)
        values["are_load_ids_complete"] = _are_complete(named)
    row = RunRow(RUNS.row(values))
    row.forget_details()
    row.has_ended = run.is_complete
    row.loads = [
        RUN_LOADS.row({**cause._asdict(), "run_id": run.id, "load_id": load_id})
        for load_id, cause in loads.items()
    ]
    return row


def step_row(run_id: int, place: int, step: Mapping[str, Any]) -> Row:
    """Returns a step as a row, with the end of its log if it failed."""
    command = re.search(r"Invoke dbt with `(.*)`", str_of(step.get("name")))
    has_failed = int_of(step.get("status")) == DBTCloudRunStatus.ERROR
    values = {
        "run_id": run_id,
        "step_index": int_of(step.get("index")) or place,
        "step_id": step.get("id"),
        "status_name": step.get("status_humanized"),
        "step_seconds": seconds_between(step.get("started_at"), step.get("finished_at")),
        "command": command[1] if command else None,
        "error": "\n".join(log_tail(step)) or None if has_failed else None,
    }
    return RUN_STEPS.row({**step, **values})


def nodes_in(results: Mapping[str, Any], step: Row) -> list[Row]:
    """Returns the nodes in a `run_results.json`, also of a schema version that is not known."""
    metadata, args = dict_of(results.get("metadata")), dict_of(results.get("args"))
    version = str_of(metadata.get("dbt_schema_version"))
    if only_compiles(results):
        return []
    if not KNOWN_SCHEMAS.search(version):
        logger.warning(
            "Step %s of run %s has a run_results.json of unknown schema %r: fields may be missing.",
            step["step_index"],
            step["run_id"],
            version,
        )
    common = {
        "run_id": step["run_id"],
        "step_index": step["step_index"],
        "command": args.get("which"),
        "invocation_id": metadata.get("invocation_id"),
    }
    nodes = (dict_of(node) for node in list_of(results.get("results")))
    return [NODE_RESULTS.row(node_values(node, common)) for node in nodes if node.get("unique_id")]


def node_values(result: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry of a `run_results.json` as values of a row, with those of its step."""
    timing = [dict_of(phase) for phase in list_of(result.get("timing"))] or [{}]
    phases = {str(phase.get("name")): phase for phase in timing}
    compiled, executed = phases.get("compile", {}), phases.get("execute", {})
    response = dict_of(result.get("adapter_response"))
    unique_id = str_of(result["unique_id"])
    return {
        **result,
        "resource_type": unique_id.partition(".")[0],
        "name": name_of(unique_id),
        "rows_affected": response.get("rows_affected"),
        "bytes_processed": response.get("bytes_processed"),
        "code": response.get("code"),
        "compile_finished_at": compiled.get("completed_at"),
        "execute_started_at": executed.get("started_at"),
        "started_at": timing[0].get("started_at"),
        "finished_at": timing[-1].get("completed_at"),
        **common,
    }


def freshness_in(results: Mapping[str, Any], step: Row) -> list[Row]:
    """Returns the sources in a `sources.json`."""
    found = (dict_of(entry) for entry in list_of(results.get("results")))
    common = {"run_id": step["run_id"], "step_index": step["step_index"]}
    return [
        FRESHNESS.row({**it, "age_seconds": it.get("max_loaded_at_time_ago_in_s"), **common})
        for it in found
        if it.get("unique_id")
    ]


def seconds_between(start: Any, end: Any) -> float | None:
    """Returns the seconds from one point in time to another."""
    began, ended = moment(start), moment(end)
    return (ended - began).total_seconds() if began and ended else None
