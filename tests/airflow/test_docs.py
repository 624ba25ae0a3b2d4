"""The DAG of docs/orchestrators.md, run by Airflow as it stands."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow import DAG

from dlt_dbt_cloud.local import LocalDBTCloud

PAGE = Path(__file__).parents[2] / "docs" / "orchestrators.md"


def test_recipe(
    cloud: LocalDBTCloud,
    test_dag: Callable[[DAG], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dlt's task group loads, and then the job runs once."""
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "orders.duckdb"))
    monkeypatch.delenv("PIPELINES_DIR")  # the task group has folders of its own
    code = re.search(r"```python\n# dags/orders.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code
    path = tmp_path / "orders.py"
    path.write_text(
        code[1].replace("Nightly orders", "Good").replace("\norders()", "\nmade = orders()")
    )
    spec = importlib.util.spec_from_file_location("orders", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "orders", module)  # dlt looks for it there
    spec.loader.exec_module(module)
    dag_run = test_dag(module.made)
    states = {task.task_id: str(task.state) for task in dag_run.get_task_instances()}
    assert set(states.values()) == {"success"}, states
    assert sum(request.path.endswith("/run/") for request in cloud.requests) == 1
