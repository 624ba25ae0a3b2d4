"""A load of a dlt pipeline, as it is passed between tasks and written into causes."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from dlt import Pipeline
from dlt.common.destination.exceptions import DestinationHasFailedJobs
from dlt.common.pipeline import LoadInfo
from typing_extensions import Self

from dlt_dbt_cloud._values import dict_of, list_of
from dlt_dbt_cloud.exceptions import InvalidCredentialsException

CLOCK_SKEW: Final = timedelta(hours=2)
"""How far the clocks of the machine that loads and of the API may differ."""

CAUSE: Final = re.compile(
    r"dlt pipeline (?P<pipeline>.+?) loaded dataset (?P<dataset>.+): (?P<ids>[\d., ]*)(?P<cut>…?)"
)
"""What `Load.cause` writes."""


class Load(NamedTuple):
    """A load of a pipeline.

    Attributes:
        pipeline_name: The pipeline.
        dataset_name: The dataset that it has loaded, None if its destination has none.
        load_ids: The ids of its packages.
        are_load_ids_complete: False if they come from a cause that was cut within the ids. The last
            one may be cut, so it is left out.
    """

    pipeline_name: str
    dataset_name: str | None
    load_ids: list[str]
    are_load_ids_complete: bool = True

    @classmethod
    def of(cls, load_info: Any) -> Self:
        """Returns the load of a `LoadInfo`, of its `asdict()`, of a `load_ref`, or of their JSON.

        Raises:
            DestinationHasFailedJobs: It has failed jobs.
            InvalidCredentialsException: It is none of these.
        """
        if isinstance(load_info, LoadInfo):
            load_info.raise_on_failed_jobs()
            ids = list(load_info.loads_ids)
            return cls(load_info.pipeline.pipeline_name, load_info.dataset_name, ids)
        data = _dict_of(load_info)
        _raise_on_failed_jobs(data)
        name = dict_of(data.get("pipeline")).get("pipeline_name") or data.get("pipeline_name")
        dataset, found = data.get("dataset_name"), data.get("loads_ids")
        has_names = isinstance(name, str) and isinstance(dataset, str | None)
        if not has_names or not isinstance(found, list):
            raise _malformed(load_info)
        return cls(str(name), dataset, [str(load_id) for load_id in found])

    @classmethod
    def last_of(cls, pipeline: Pipeline) -> Self:
        """Returns the last load of a pipeline: of its last trace, else what its destination knows.

        Raises:
            InvalidCredentialsException: There is none.
        """
        trace = pipeline.last_trace
        if trace and trace.last_load_info and trace.last_load_info.loads_ids:
            return cls.of(trace.last_load_info)
        pipeline.sync_destination()
        if load_id := _last_load_id(pipeline):
            return cls(pipeline.pipeline_name, pipeline.dataset_name, [load_id])
        raise InvalidCredentialsException(
            f"Pipeline `{pipeline.pipeline_name}` has loaded nothing yet: neither its last trace"
            " nor its destination knows a load."
        )

    @classmethod
    def of_cause(cls, cause: str) -> Self | None:
        """Returns the load that a cause names, None if it names none."""
        found = CAUSE.search(cause)
        if not found:
            return None
        is_cut = bool(found["cut"])
        load_ids = re.findall(r"[\d.]+(?=,)" if is_cut else r"[\d.]+", found["ids"])
        dataset_name = None if found["dataset"] == "None" else found["dataset"]
        return cls(found["pipeline"], dataset_name, load_ids, not is_cut)

    def cause(self) -> str:
        """Returns which pipeline loaded what, for people and for `DBT_CLOUD_RUN_REASON`."""
        ids = ", ".join(self.load_ids)
        return f"dlt pipeline {self.pipeline_name} loaded dataset {self.dataset_name}: {ids}"

    def tag(self, job_id: int, overrides: Mapping[str, Any]) -> str:
        """Returns the tag that all triggers of a job for one load, with equal overrides, share.

        The last package stands for all: that is what the destination remembers of a load.
        """
        return tag_of(self.pipeline_name, max(self.load_ids), job_id, overrides)

    def since(self) -> datetime:
        """Returns the earliest time at which a run for the load can have been triggered."""
        try:
            return datetime.fromtimestamp(float(max(self.load_ids)), timezone.utc) - CLOCK_SKEW
        except (ValueError, OverflowError, OSError):  # not the time that dlt's ids are
            return datetime.fromtimestamp(0, timezone.utc)


def load_ref(load_info: LoadInfo | Mapping[str, Any] | str) -> dict[str, Any]:
    """Returns what another task, machine or process needs of a load, as a small dict for JSON.

    It is what `load_info=` takes: pass it on as an XCom, as metadata, or in a file.

    Args:
        load_info: The load, as `pipeline.run` returns it, or its `asdict()`.

    Returns:
        `pipeline_name`, `dataset_name` and `loads_ids`.

    Raises:
        DestinationHasFailedJobs: The load has failed jobs.
        InvalidCredentialsException: It is no load.
    """
    load = Load.of(load_info)
    return {
        "pipeline_name": load.pipeline_name,
        "dataset_name": load.dataset_name,
        "loads_ids": load.load_ids,
    }


def tag_of(*identity: Any) -> str:
    """Returns the tag that all callers with this identity share."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return f"dlt:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _last_load_id(pipeline: Pipeline) -> str | None:
    if not pipeline.default_schema_name:
        return None
    schema = pipeline.default_schema
    with pipeline.sql_client() as client:
        table = client.make_qualified_table_name(schema.loads_table_name)
        query = f"SELECT MAX(load_id) FROM {table} WHERE status = 0 AND schema_name = %s"  # noqa: S608  # a name of dlt's
        rows = client.execute_sql(query, schema.name)
    return rows[0][0] if rows else None


def _dict_of(load_info: Any) -> Mapping[str, Any]:
    data = load_info
    if isinstance(load_info, str):
        try:
            data = json.loads(load_info)
        except ValueError as error:
            raise _malformed(load_info) from error
    if not isinstance(data, Mapping):
        raise _malformed(load_info)
    return data


def _raise_on_failed_jobs(data: Mapping[str, Any]) -> None:
    for package in map(dict_of, list_of(data.get("load_packages"))):
        jobs = map(dict_of, list_of(package.get("jobs")))
        if failed := [job for job in jobs if job.get("state") == "failed_jobs"]:
            destination = str(data.get("destination_name"))
            raise DestinationHasFailedJobs(destination, str(package.get("load_id")), failed)


def _malformed(load_info: Any) -> InvalidCredentialsException:
    return InvalidCredentialsException(
        "Invalid `load_info`: expected what `pipeline.run` returns, its `asdict()`, a `load_ref`,"
        f" or one of these as JSON, got {type(load_info).__name__}."
    )
