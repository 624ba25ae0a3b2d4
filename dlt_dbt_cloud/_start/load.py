"""What a load is to a job: the cause and the tag of its run, and the runs that it already has."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta, timezone
from itertools import takewhile
from typing import Any, Final, NamedTuple

from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud._start.trigger import has_tag
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.run import DBTCloudRun

CLOCK_SKEW: Final = timedelta(minutes=10)
"""How far this machine's clock may be ahead of dbt Cloud's."""


def load_cause(load_info: LoadInfo) -> str:
    """Returns which pipeline loaded what, for people and for `DBT_CLOUD_RUN_REASON`."""
    return (
        f"dlt pipeline {load_info.pipeline.pipeline_name} loaded dataset {load_info.dataset_name}:"
        f" {', '.join(load_info.loads_ids)}"
    )


class LoadCause(NamedTuple):
    """What the cause of a run tells about the loads that it was triggered for.

    Attributes:
        pipeline_name: The pipeline.
        dataset_name: The dataset that it had loaded, None if its destination has none.
        load_ids: The ids of the loads.
        are_load_ids_complete: False if the cause was cut within the ids. Of the last one only the
            beginning may be left, so it is left out.
    """

    pipeline_name: str
    dataset_name: str | None
    load_ids: list[str]
    are_load_ids_complete: bool


_LOAD_CAUSE: Final = re.compile(
    r"dlt pipeline (?P<pipeline>.+?) loaded dataset (?P<dataset>.+): (?P<ids>[\d., ]*)(?P<cut>…?)"
)


def parse_load_cause(cause: str) -> LoadCause | None:
    """Returns what `load_cause` has written into a cause, None if that is not in it."""
    found = _LOAD_CAUSE.search(cause)
    if not found:
        return None
    is_cut = bool(found["cut"])
    load_ids = re.findall(r"[\d.]+(?=,)" if is_cut else r"[\d.]+", found["ids"])
    dataset_name = None if found["dataset"] == "None" else found["dataset"]
    return LoadCause(found["pipeline"], dataset_name, load_ids, not is_cut)


def load_tag(load_info: LoadInfo, job_id: int, request: Mapping[str, Any]) -> str:
    """Returns the tag that all triggers of a job for one load, with the same overrides, share."""
    overrides = {name: value for name, value in request.items() if name != "cause"}
    identity = [
        load_info.pipeline.pipeline_name,
        sorted(load_info.loads_ids),
        job_id,
        overrides,
    ]
    text = json.dumps(identity, sort_keys=True, default=str)
    return f"dlt:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def runs_of_load(
    client: DBTCloudClientV2, job_id: int, tag: str, load_info: LoadInfo
) -> list[DBTCloudRun]:
    """Returns the runs that the job already has for the load, the newest first.

    These are the runs with the tag and the retries of them, which have a cause of their own.
    """
    newest_first = client.list_runs(
        job_definition_id=job_id, order_by="-id", include_related=["trigger"]
    )
    since = _api_time(load_info)
    later = takewhile(lambda run: str(run.get("created_at"))[:19] >= since, newest_first)
    runs: list[DBTCloudRun] = []
    for run in reversed(list(later)):
        retried = run.get("retrying_run_id")
        if has_tag(run, tag) or any(run.id == retried for run in runs):
            runs.insert(0, run)
    return runs


def may_adopt(run: DBTCloudRun, *, retry_failed: int) -> bool:
    """Tells whether a run that a load already has can be its run: a failed one, to be retried."""
    may_retry = run.is_error and retry_failed > 0 and bool(run.get("can_retry"))
    return run.in_progress or run.is_success or may_retry


def _api_time(load_info: LoadInfo) -> str:
    """Returns when the load began, to the second and as the API writes times."""
    since = load_info.started_at - CLOCK_SKEW
    return since.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
