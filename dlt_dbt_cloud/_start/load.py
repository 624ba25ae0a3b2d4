"""Ties loads to runs: the cause and tag of a run, and the way back from a cause to the loads."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

from dlt.common.pipeline import LoadInfo

CLOCK_SKEW: Final = 2 * 60 * 60.0
"""Seconds by which the clocks of the machine that loads and of this one may differ."""


def load_cause(load_info: LoadInfo) -> str:
    """Returns which pipeline loaded what, for people and for `DBT_CLOUD_RUN_REASON`."""
    return (
        f"dlt pipeline {load_info.pipeline.pipeline_name} loaded dataset {load_info.dataset_name}:"
        f" {', '.join(load_info.loads_ids)}"
    )


def load_tag(load_info: LoadInfo, job_id: int, request: Mapping[str, Any]) -> str:
    """Returns the tag that all triggers of a job for one load, with the same overrides, share."""
    overrides = {name: value for name, value in request.items() if name != "cause"}
    pipeline_name = load_info.pipeline.pipeline_name
    identity = [pipeline_name, sorted(load_info.loads_ids), job_id, overrides]
    text = json.dumps(identity, sort_keys=True, default=str)
    return f"dlt:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def load_age(load_info: LoadInfo) -> float:
    """Returns the maximum seconds since a run for the load can have been triggered."""
    age = (datetime.now(timezone.utc) - load_info.started_at).total_seconds()
    return max(0.0, age) + CLOCK_SKEW


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
    """Returns what `load_cause` wrote into a cause, None if that is not in it."""
    found = _LOAD_CAUSE.search(cause)
    if not found:
        return None
    is_cut = bool(found["cut"])
    load_ids = re.findall(r"[\d.]+(?=,)" if is_cut else r"[\d.]+", found["ids"])
    dataset_name = None if found["dataset"] == "None" else found["dataset"]
    return LoadCause(found["pipeline"], dataset_name, load_ids, not is_cut)
