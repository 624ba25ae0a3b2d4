"""How the steps of a job are narrowed, beside dbt's own command line."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from dlt_dbt_cloud._start.select_steps import (
    KEPT,
    MAX_LENGTH,
    NARROWED,
    SELECT,
    WITH_VALUE,
    UnsureError,
    narrow,
    sources_in,
)
from tests.select.shop import write_project

TERMS = ["source:shop.orders+", "source:crm+"]

LIST = """
import json, sys
from dbt.cli.main import dbtRunner
dbt = dbtRunner(manifest=dbtRunner().invoke(["--quiet", "parse"]).result)
for selects in json.load(sys.stdin):
    found = dbt.invoke(["--quiet", "ls", "--output", "name", *selects]).result
    print(json.dumps(sorted(found or [])))
"""


@pytest.mark.parametrize(
    ("step", "narrowed"),
    [
        ("dbt build", "dbt build --select A B"),
        ("dbt run --full-refresh", "dbt run --full-refresh --select A B"),
        ("dbt --no-partial-parse -d test", "dbt --no-partial-parse -d test --select A B"),
        ("dbt --target seed snapshot", "dbt --target seed snapshot --select A B"),
        ("dbt build --select a b", "dbt build --select a,A a,B b,A b,B"),
        ("dbt build -s 'a b' --exclude c d", "dbt build --exclude c d --select a,A a,B b,A b,B"),
        ("dbt build --select=a -x", "dbt build -x --select a,A a,B"),
        ("dbt run -m a --models b", "dbt run --select a,A a,B b,A b,B"),
        ("dbt test --select tag:x,2+b+", "dbt test --select tag:x,2+b+,A tag:x,2+b+,B"),
        ("dbt run --select 'tag:n*'", "dbt run --select 'tag:n*,A' 'tag:n*,B'"),
        ("""dbt run --vars '{"a b": 1}'""", """dbt run --vars '{"a b": 1}' --select A B"""),
    ],
)
def test_narrowed(step: str, narrowed: str) -> None:
    """A step is intersected with the terms, and keeps all else that it says."""
    expected = narrowed.replace("A", TERMS[0]).replace("B", TERMS[1])
    assert narrow([step], TERMS) == [expected]
    assert sources_in([expected]) == TERMS


@pytest.mark.parametrize(
    "step",
    [
        *("dbt seed", "dbt seed --select build", "dbt deps", "dbt docs generate"),
        *("dbt source freshness", "dbt run-operation build --args '{a: 1}'", "dbt --quiet compile"),
    ],
)
def test_kept(step: str) -> None:
    """A step that builds nothing from the sources stays as it is, to the letter."""
    assert narrow([step], TERMS, has_default=True) == [step]


@pytest.mark.parametrize(
    "step",
    [
        *("dbt build --selector nightly", "dbt build --selector=nightly", "dbt retry"),
        *("dbt clone --state x", "dbt", "", "python x.py", "dbt run --select 'a", "dbt run -sa"),
        *("dbt buildx", "make build"),
    ],
)
def test_unsure(step: str) -> None:
    """A step that can't be narrowed is refused."""
    with pytest.raises(UnsureError, match="step"):
        narrow(["dbt build", step], TERMS)


def test_default_selector() -> None:
    """A step without a selection of its own is refused if the project has a default selector."""
    with pytest.raises(UnsureError, match="`dbt build` can't be narrowed"):
        narrow(["dbt build"], TERMS, has_default=True)
    assert narrow(["dbt build --exclude a"], TERMS, has_default=True)


def test_length() -> None:
    """Steps that become too long for the API are refused."""
    with pytest.raises(UnsureError, match="characters"):
        narrow(["dbt build"], ["source:shop.orders+"] * (MAX_LENGTH // 20 + 1))


def test_table_of_dbt() -> None:
    """The options and commands are those of dbt's own command line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dbt.cli.main import cli  # noqa: PLC0415  # takes seconds

    options: Any = cli.params

    valued = {name for param in options if not param.is_flag for name in param.opts}
    assert valued == WITH_VALUE
    assert NARROWED | KEPT | {"clone", "init", "retry"} == {*cli.commands}
    for name in NARROWED:
        params = cli.commands[name].params
        assert {*SELECT} in [{*param.opts} for param in params]
        assert all(param.param_type_name == "option" for param in params)


@pytest.mark.slow
def test_dbt_selects_the_same(tmp_path: Path) -> None:
    """What dbt selects for a narrowed step is what it selects for the step, and is downstream."""
    write_project(tmp_path)
    terms = ["source:shop.orders+", "source:shop.order_items+"]
    own = ["", "--select stg_orders+ customers", "-s +revenue --exclude customers", "-m items"]
    steps = narrow([f"dbt build {selects}".strip() for selects in own], terms)
    narrowed = [step.removeprefix("dbt build ") for step in steps]
    asked = [*own, *narrowed, f"--select {' '.join(terms)}"]
    found = subprocess.run(
        [sys.executable, "-c", LIST],
        input=json.dumps([selects.split() for selects in asked]),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    *listed, downstream = [set(json.loads(it)) for it in found.stdout.splitlines() if it[0] == "["]
    for before, after in zip(listed[: len(own)], listed[len(own) :], strict=True):
        assert after == before & downstream
    assert downstream >= {"items", "revenue", "stg_orders"}
