"""Compares what a warm dbt leaves behind with what bare dbt leaves behind: `make reference`."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud
from tests.local.conftest import Api

DBT: Final = Path(sysconfig.get_path("scripts")) / "dbt"
PROJECT: Final = {
    "dbt_project.yml": """
name: shop
version: "1.0"
profile: shop
vars: {limit: 3}
""",
    "profiles.yml": """
shop:
  target: dev
  outputs:
    dev: &output {type: duckdb, path: "{{ env_var('SHOP_DATABASE') }}", schema: main}
    prod: {<<: *output, schema: prod}
""",
    "packages.yml": "packages: [{local: tools}]",
    "tools/dbt_project.yml": "{name: tools, version: '1.0'}",
    "tools/macros/plus.sql": "{% macro plus(x, y) %}{{ x }} + {{ y }}{% endmacro %}",
    "tools/models/packaged.sql": "select 1 as a",
    "seeds/colors.csv": "id,color\n1,red\n2,blue\n",
    "macros/double.sql": "{% macro double(x) %}{{ tools.plus(x, x) }}{% endmacro %}",
    "models/numbers.sql": "select i as id from range({{ var('limit') }}) as n(i)",
    "models/doubled.sql": "select {{ double('id') }} as d from {{ ref('numbers') }}",
    "models/colored.sql": "select * from {{ ref('colors') }} join {{ ref('numbers') }} using (id)",
    "models/region.sql": "select '{{ env_var('SHOP_REGION', 'none') }}' as region",
    "models/grown.sql": """
{{ config(materialized='incremental', unique_key='n') }}
select count(*) as n from {{ ref('numbers') }}
{% if is_incremental() %} union select max(n) + 1 from {{ this }} {% endif %}
""",
    "models/models.yml": """
models:
  - name: numbers
    description: Counted.
    columns: [{name: id, data_tests: [unique, not_null]}]
unit_tests:
  - name: doubles
    model: doubled
    given: [{input: ref('numbers'), rows: [{id: 4}]}]
    expect: {rows: [{d: 8}]}
""",
    "snapshots/snapped.yml": """
snapshots:
  - name: snapped
    relation: ref('colors')
    config: {unique_key: id, strategy: check, check_cols: [color]}
""",
}
TIMES_AND_IDS: Final = {
    "completed_at",
    "created_at",
    "execution_time",
    "generated_at",
    "invocation_id",
    "invocation_started_at",
    "started_at",
    "thread_id",
    "elapsed_time",
    "run_started_at",
    "user_id",
}
# How dbt was called, which the run decides.
CALLED: Final = {
    "env",
    "invocation_command",
    "log_path",
    "partial_parse",
    "partial_parse_file_path",
    "profiles_dir",
    "project_dir",
    "send_anonymous_usage_stats",
    "target",
    "target_path",
    "use_colors",
}


@dataclass(frozen=True)
class Case:
    """A change, and the steps that both run after it.

    Attributes:
        what: What has changed.
        files: The files to write, None deletes.
        env: Variables to set.
        steps: The commands.
        target: The target of the profile, if not its own.
    """

    what: str
    files: Mapping[str, str | None] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    steps: Sequence[str] = ("dbt build",)
    target: str | None = None


CASES: Final = (
    Case("first run, with docs", steps=("dbt build", "dbt docs generate")),
    Case("nothing; the incremental model grows, the snapshot is taken again"),
    Case(
        "one model edited",
        {"models/numbers.sql": PROJECT["models/numbers.sql"] + " where i > 0"},
    ),
    Case(
        "models renamed and deleted, a new seed, other macros, also of a package",
        {
            "models/doubled.sql": None,
            "models/twice.sql": PROJECT["models/doubled.sql"],
            "models/colored.sql": None,
            "models/models.yml": PROJECT["models/models.yml"].replace("doubled", "twice"),
            "macros/double.sql": PROJECT["macros/double.sql"].replace("}}{%", "}} + 0{%"),
            "tools/models/packaged.sql": "select 2 as a",
            "tools/macros/plus.sql": PROJECT["tools/macros/plus.sql"].replace("+", "+ 0 +"),
            "seeds/colors.csv": "id,color\n1,green\n2,blue\n",
            "seeds/shapes.csv": "id,shape\n1,round\n",
        },
    ),
    Case(
        "`--vars` and an environment variable",
        env={"SHOP_REGION": "north"},
        steps=("dbt build --vars 'limit: 5'",),
    ),
    Case(
        "profile, target and flags, with docs",
        {"profiles.yml": PROJECT["profiles.yml"].replace("schema: prod", "schema: elsewhere")},
        steps=("dbt --warn-error build --full-refresh", "dbt docs generate"),
        target="prod",
    ),
)


@dataclass(frozen=True)
class Compared:
    """What was compared after a change.

    Attributes:
        what: What has changed.
        keys: How many values of the artifacts, of each.
        tables: How many tables.
        differences: The keys, and the tables, that differ.
    """

    what: str
    keys: Mapping[str, int]
    tables: int
    differences: Sequence[str]


@dataclass
class Both:
    """A project that is built warm and bare, one after the other, from the same database."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the project."""
        self.project, self.database = self.folder / "shop", self.folder / "shop.duckdb"
        self.env["SHOP_DATABASE"] = str(self.database)
        self.write(PROJECT)

    def compare(self) -> Iterator[Compared]:
        """Go through all changes."""
        job = DBTJob(self.project, env=self.env)
        with LocalDBTCloud(jobs=[job]) as cloud:
            for case in CASES:
                self.write(case.files)
                self.env.update(case.env)
                yield self.compared(Api(cloud.settings()), case)

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files of the project, None deletes."""
        for name, text in files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text, encoding="utf-8")

    def compared(self, api: Api, case: Case) -> Compared:
        """Run both, and compare what they leave behind."""
        before = self.folder / "before.duckdb"
        if self.database.exists():
            shutil.copyfile(self.database, before)
        warm, tables = self.warm(api, case), self.tables()
        self.database.unlink()
        if before.exists():
            shutil.copyfile(before, self.database)
        bare, theirs = self.bare(case), self.tables()
        return Compared(
            case.what,
            {name: leaves(comparable(artifact)) for name, artifact in warm.items()},
            len(tables),
            [
                *differences(comparable(warm), comparable(bare)),
                *differences(tables, theirs, "database"),
            ],
        )

    def warm(self, api: Api, case: Case) -> dict[str, Any]:
        """Run the job. Returns its artifacts."""
        overrides: dict[str, Any] = {
            "steps_override": list(case.steps),
            "target_name_override": case.target,
        }
        run = api.finished(api.trigger(**overrides)["id"])
        assert run["status"] == 10, run["run_steps"][-1]["logs"]
        return {name: api.artifact(run["id"], name) for name in artifacts(case)}

    def bare(self, case: Case) -> dict[str, Any]:
        """Call `dbt` as in a shell, and have it parse everything. Returns its artifacts."""
        target = self.folder / "bare"
        shutil.rmtree(target, ignore_errors=True)
        env = {
            **os.environ,
            **self.env,
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
            "DBT_PARTIAL_PARSE": "false",
            "DBT_USE_COLORS": "false",
            **({"DBT_TARGET": case.target} if case.target else {}),
        }
        for step in case.steps:
            call = [str(DBT), *shlex.split(step)[1:]]
            subprocess.run(call, cwd=self.project, env=env, stdout=subprocess.DEVNULL, check=True)
        return {name: json.loads((target / name).read_text()) for name in artifacts(case)}

    def tables(self) -> dict[str, Any]:
        """Read all rows of all tables and views, except when a snapshot was taken."""
        with duckdb.connect(str(self.database)) as connection:
            names = connection.sql(
                "select table_schema, table_name from information_schema.tables order by all"
            ).fetchall()
            return {f"{s}.{name}": rows(connection, f"{s}.{name}") for s, name in names}


def artifacts(case: Case) -> list[str]:
    """Name the artifacts of a case."""
    docs = ["catalog.json"] if "dbt docs generate" in case.steps else []
    return ["manifest.json", "run_results.json", *docs]


def rows(connection: duckdb.DuckDBPyConnection, table: str) -> list[list[str]]:
    """Read the rows of a table, without the columns that tell when a snapshot was taken."""
    read = connection.execute(f"from {table}")
    when = [column[0].startswith("dbt_") for column in read.description or ()]
    return sorted(
        [str(value) for value, is_when in zip(row, when, strict=True) if not is_when]
        for row in read.fetchall()
    )


def differences(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Yield each key whose values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key), theirs.get(key), f"{where}/{key}")
    elif ours != theirs:
        yield f"{where}: {ours!r} instead of {theirs!r}"


def leaves(value: Any) -> int:
    """Count the values in what was compared."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(leaves, parts)) if parts else 1


def comparable(value: Any, key: str = "") -> Any:
    """Return the same without times, ids, and what tells how dbt was called."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in TIMES_AND_IDS | CALLED}
        return {k: comparable(v, k) for k, v in kept.items()}
    if isinstance(value, list):
        return [comparable(v) for v in value if key != "timing"]
    if isinstance(value, str) and key in ("build_path", "compiled_path"):
        return re.sub(".*/(compiled|run)/", "", value)
    return value


def table(compared: Iterable[Compared]) -> Iterator[str]:
    """Yield the lines of the table in the docs."""
    yield "| what has changed | values compared | tables | differences |"
    yield "|---|---|---|---|"
    for case in compared:
        keys = ", ".join(f"{count:,} in `{name}`" for name, count in case.keys.items())
        yield f"| {case.what} | {keys} | {case.tables} | {len(case.differences)} |"
