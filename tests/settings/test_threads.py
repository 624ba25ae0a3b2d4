"""Calls from any thread find what the main thread finds, and leave dlt's contexts alone."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.pipeline import PipelineContext

from dlt_dbt_cloud.configuration import with_dbt_cloud_configuration

CALLS = 8


@pytest.fixture
def pipeline(secrets_toml: Callable[[str], None]) -> dlt.Pipeline:
    """A pipeline with a section of its own, active in the main thread."""
    secrets_toml('[dbt_cloud]\napi_token = "t"\njob_id = 77\n[flights.dbt_cloud]\njob_id = 88')
    return dlt.pipeline("flights", pipelines_dir="pipelines", destination="duckdb")


@with_dbt_cloud_configuration(requires=("job_id",))
def job(job_id: str | None = None) -> str | None:
    """Returns the job that a call would run."""
    return job_id


def together(barrier: threading.Barrier) -> str | None:
    """Returns the job of one of several calls at the same moment, the last of many."""
    barrier.wait(30)
    return [job() for _ in range(20)][-1]


def test_thread_pool(pipeline: dlt.Pipeline) -> None:
    """Threads of a pool resolve the job of the pipeline that is active in the main thread."""
    barrier = threading.Barrier(CALLS)
    with ThreadPoolExecutor(CALLS) as pool:
        assert {*pool.map(together, [barrier] * CALLS)} == {job()} == {"88"}


def test_to_thread(pipeline: dlt.Pipeline) -> None:
    """So do the threads of asyncio."""

    async def calls() -> list[str | None]:
        return await asyncio.gather(*(asyncio.to_thread(job) for _ in range(CALLS)))

    assert {*asyncio.run(calls())} == {"88"}


def test_thread_with_a_pipeline_of_its_own(pipeline: dlt.Pipeline) -> None:
    """A thread that has a pipeline of its own resolves the job of that one."""

    def other() -> str | None:
        dlt.pipeline("other", pipelines_dir="pipelines")
        try:
            return job()
        finally:  # dlt would show it to a later thread that gets the same ident
            Container()[PipelineContext].deactivate()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(other).result() == "77"
    assert job() == "88"


def loaded(pipeline: dlt.Pipeline) -> set[str]:
    """Returns the jobs that the rows of a load have seen."""
    with pipeline.sql_client() as client:
        return {row[0] for row in client.execute_sql("select job from rows") or ()}


def deferred(barrier: threading.Barrier) -> Any:
    """Returns a resource whose rows are made in threads of dlt."""

    @dlt.defer
    def row() -> dict[str, Any]:
        return {"job": together(barrier)}

    @dlt.resource(name="rows")
    def rows() -> Iterator[Any]:
        for _ in range(CALLS):
            yield row()

    return rows


def parallelized(barrier: threading.Barrier) -> Any:
    """Returns a source of resources that dlt reads in parallel."""

    def resource(number: int) -> Any:
        @dlt.resource(name=f"rows_{number}", table_name="rows", parallelized=True)
        def rows() -> Iterator[Any]:
            yield {"job": together(barrier)}

        return rows

    @dlt.source(name="numbers")
    def numbers() -> Any:
        return [resource(number) for number in range(CALLS)]

    return numbers()


def asynchronous(barrier: threading.Barrier) -> Any:
    """Returns a resource that calls from threads of an event loop of dlt."""

    @dlt.resource(name="rows")
    async def rows() -> Any:
        calls = [asyncio.to_thread(job) for _ in range(CALLS)]
        for found in await asyncio.gather(*calls):
            yield {"job": found}

    return rows


# dlt leaves its event loop open.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("resource", [deferred, parallelized, asynchronous])
def test_parallel_resources(
    resource: Callable[[threading.Barrier], Any],
    pipeline: dlt.Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eight calls at once from parallel resources resolve the job, and the load succeeds."""
    monkeypatch.setenv("EXTRACT__WORKERS", str(CALLS))
    pipeline.run(resource(threading.Barrier(CALLS)), loader_file_format="jsonl")
    assert loaded(pipeline) == {"88"}
    assert Container()[ConfigSectionContext].pipeline_name is None
    gc.collect()  # else a later test gets the warnings


def test_pipeline_in_another_thread(pipeline: dlt.Pipeline) -> None:
    """Parallel resources of a pipeline that runs in a thread resolve the job of that pipeline."""

    def run() -> set[str]:
        other = dlt.pipeline("other", pipelines_dir="pipelines", destination="duckdb")
        try:
            other.run(deferred(threading.Barrier(1)), loader_file_format="jsonl")
            return loaded(other)
        finally:
            Container()[PipelineContext].deactivate()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == {"77"}
