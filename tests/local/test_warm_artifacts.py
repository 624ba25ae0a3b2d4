"""What a warm dbt leaves behind, compared with what bare dbt leaves behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud

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


@dataclass
class Both:
    """A project that is built warm and bare, one after the other, from the same database."""

    job: DBTJob
    api: Any
    folder: Path

    @property
    def database(self) -> Path:
        """The database of both."""
        return Path(self.job.env["SHOP_DATABASE"])

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files of the project, None deletes."""
        for name, text in files.items():
            path = Path(self.job.project_dir) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text, encoding="utf-8")

    def check(
        self,
        *steps: str,
        artifacts: Sequence[str] = ("manifest.json", "run_results.json"),
        target_name_override: str | None = None,
    ) -> None:
        """Run both, and compare what they leave behind."""
        before = self.folder / "before.duckdb"
        if self.database.exists():
            shutil.copyfile(self.database, before)
        steps = steps or ("dbt build",)
        target = target_name_override
        run_id = self.api.trigger(steps_override=list(steps), target_name_override=target)["id"]
        run = self.api.finished(run_id)
        assert run["status"] == 10, run["run_steps"][-1]["logs"]
        warm = {name: self.api.artifact(run_id, name) for name in artifacts}
        tables = self.tables()
        self.database.unlink()
        if before.exists():
            shutil.copyfile(before, self.database)
        self.bare(steps, target)
        bare = {name: json.loads((self.folder / "bare" / name).read_text()) for name in artifacts}
        assert list(differences(comparable(warm), comparable(bare))) == []
        assert tables == self.tables()

    def bare(self, steps: Sequence[str], target: str | None) -> None:
        """Call `dbt` as in a shell, and have it parse everything."""
        shutil.rmtree(self.folder / "bare", ignore_errors=True)
        env = {
            **os.environ,
            **self.job.env,
            "DBT_TARGET_PATH": str(self.folder / "bare"),
            "DBT_LOG_PATH": str(self.folder / "bare"),
            "DBT_PARTIAL_PARSE": "false",
            "DBT_USE_COLORS": "false",
            **({"DBT_TARGET": target} if target else {}),
        }
        for step in steps:
            call = [str(DBT), *shlex.split(step)[1:]]
            subprocess.run(
                call, cwd=self.job.project_dir, env=env, stdout=subprocess.DEVNULL, check=True
            )

    def tables(self) -> dict[str, Any]:
        """Read all rows of all tables and views, except when a snapshot was taken."""
        with duckdb.connect(str(self.database)) as connection:
            names = connection.sql(
                "select table_schema, table_name from information_schema.tables order by all"
            ).fetchall()
            return {f"{s}.{name}": rows(connection, f"{s}.{name}") for s, name in names}


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


@pytest.fixture
def both(tmp_path: Path, make_api: Callable[..., Any]) -> Iterator[Both]:
    """A project on a local dbt Cloud."""
    env = {"SHOP_DATABASE": str(tmp_path / "shop.duckdb")}
    job = DBTJob(tmp_path / "shop", env=env)
    both = Both(job, None, tmp_path)
    both.write(PROJECT)
    with LocalDBTCloud(jobs=[job]) as cloud:
        both.api = make_api(cloud)
        yield both


def test_warm_runs_leave_what_bare_dbt_leaves(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts and database of a warm run equal those of bare dbt, whatever has changed."""
    # Parsed for the first time.
    both.check("dbt build", "dbt docs generate", artifacts=("manifest.json", "catalog.json"))
    # Nothing has changed, but the incremental model grows and the snapshot is taken again.
    both.check()
    both.write(
        {
            "models/numbers.sql": PROJECT["models/numbers.sql"] + " where i > 0",
            "models/doubled.sql": None,
            "models/twice.sql": PROJECT["models/doubled.sql"],
            "models/colored.sql": None,
            "models/models.yml": PROJECT["models/models.yml"].replace("doubled", "twice"),
            "macros/double.sql": PROJECT["macros/double.sql"].replace("}}{%", "}} + 0{%"),
            "tools/models/packaged.sql": "select 2 as a",
            "seeds/colors.csv": "id,color\n1,green\n2,blue\n",
            "seeds/shapes.csv": "id,shape\n1,round\n",
        }
    )
    both.check()
    monkeypatch.setenv("SHOP_REGION", "north")
    both.check("dbt build --vars 'limit: 5'")
    profile = PROJECT["profiles.yml"].replace("schema: prod", "schema: elsewhere")
    both.write({"profiles.yml": profile})
    both.check("dbt --warn-error build --full-refresh", target_name_override="prod")
