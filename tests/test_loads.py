"""A load, from wherever it comes: one identity, one run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.destination.exceptions import DestinationHasFailedJobs
from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud import InvalidCredentialsException, load_ref
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.run import DBTCloudRun
from tests.select.shop import Loaded, orders, pipeline_in
from tests.utils import PlayedJob

RunWith = Callable[..., DBTCloudRun]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A pipeline into a file of DuckDB, and its only load."""
    return Loaded.into(tmp_path_factory.mktemp("loaded"), orders(1))


@pytest.fixture
def load_info(loaded: Loaded) -> LoadInfo:
    """The load."""
    return loaded.load_info


@pytest.fixture
def pipeline(loaded: Loaded, dlt_world: Path) -> dlt.Pipeline:
    """The pipeline, with files of its own."""
    return loaded.copied_to(dlt_world)


@pytest.mark.parametrize(
    "travel",
    [
        LoadInfo.asdict,
        load_ref,
        lambda load: json.dumps(load.asdict(), default=str),
        lambda load: json.dumps(load_ref(load)),
    ],
    ids=["asdict", "load_ref", "JSON of asdict", "JSON of load_ref"],
)
def test_same_run(
    run_with: RunWith, job: PlayedJob, load_info: LoadInfo, travel: Callable[[LoadInfo], Any]
) -> None:
    """Another task that gets the load as JSON returns the run of the first."""
    assert run_with(None, load_info).id == run_with(None, travel(load_info)).id
    assert len(job.sent) == 1


def test_last_load(pipeline: dlt.Pipeline, load_info: LoadInfo) -> None:
    """A pipeline stands for its last load."""
    assert Load.last_of(pipeline) == Load.of(load_info)


def test_last_load_without_working_folder(
    pipeline: dlt.Pipeline, load_info: LoadInfo, dlt_world: Path
) -> None:
    """On a new machine, the destination knows the last load: the run is the same."""
    pipeline.deactivate()
    shutil.rmtree(pipeline.working_dir)
    restored = pipeline_in(dlt_world)
    assert Load.last_of(restored) == Load.of(load_info)


def test_last_of_several_packages() -> None:
    """A load of several packages has the run of its last one, which the destination knows."""
    both = Load("flights", "raw", ["1767225600.1", "1767225600.5"])
    assert both.tag(1, {}) == Load("flights", "raw", ["1767225600.5"]).tag(1, {})


def test_nothing_loaded(dlt_world: Path) -> None:
    """A pipeline without a load says so, before anything is sent."""
    with pytest.raises(InvalidCredentialsException, match="`shop` has loaded nothing yet"):
        Load.last_of(pipeline_in(dlt_world))


def test_failed_jobs_travel(load_info: LoadInfo) -> None:
    """A load with failed jobs is refused also as a dict: nothing is built on it."""
    data = json.loads(json.dumps(load_info.asdict(), default=str))
    data["load_packages"][0]["jobs"][0]["state"] = "failed_jobs"
    with pytest.raises(DestinationHasFailedJobs, match=load_info.loads_ids[0]):
        Load.of(data)


@pytest.mark.parametrize(
    "nonsense", ["", "1767225600.5", "[]", "null", 7, {}, {"pipeline_name": "a"}, {"loads_ids": []}]
)
def test_nonsense(nonsense: Any) -> None:
    """What is no load is refused with what is expected."""
    with pytest.raises(InvalidCredentialsException, match="`load_info`: expected what `pipeline"):
        Load.of(nonsense)
