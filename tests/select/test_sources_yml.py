"""The `sources.yml` of a project for what a pipeline has loaded."""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from ruamel.yaml import YAML

from dlt_dbt_cloud import InvalidCredentialsException, dbt_sources, run_dbt_cloud_job
from dlt_dbt_cloud._cli.parser import configure_parser, execute
from dlt_dbt_cloud.local import LocalDBTCloud
from dlt_dbt_cloud.sources import dbt_cloud_source
from dlt_dbt_cloud.sources.yml import update_sources_yml
from tests.results.shared import ROOT, rows
from tests.select.shop import Loaded, customers, orders, pipeline_in, write_project

SAMPLES = ROOT / "sample_pipelines"

PEOPLES = """\
# Made by us.
sources:
  - name: raw
    description: What the shop sells.   # of course
    tables:
      - name: people
        identifier: customers
        columns:
          - name: gone
          - name: id
            description: "The customer"
            data_tests: [unique]
      - name: former
models:
  - name: staging  # stays
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A load of a table with a key, one with a reference, two, and one that is nested."""
    key: Any = {"id": {"description": "The key.", "data_type": "bigint"}}
    link: Any = [{"columns": ["id"], "referenced_table": "keyed", "referenced_columns": ["id"]}]
    keyed = dlt.resource([{"id": 1}], name="keyed", primary_key="id", columns=key)
    linked = dlt.resource([{"id": 1}], name="linked", references=link)
    folder = tmp_path_factory.mktemp("loaded")
    return Loaded.into(folder, orders(1), customers(1), keyed, linked)


@pytest.fixture
def pipeline(dlt_world: Path, loaded: Loaded) -> dlt.Pipeline:
    """The pipeline after this load."""
    return loaded.copied_to(dlt_world / "shop")


def tables_of(pipeline: dlt.Pipeline) -> dict[str, dict[str, Any]]:
    """Returns the tables of the first source by their names."""
    return {table["name"]: table for table in dbt_sources(pipeline)["sources"][0]["tables"]}


def test_what_is_in_it(pipeline: dlt.Pipeline) -> None:
    """Tables and columns have their types, descriptions, keys and references."""
    tables = tables_of(pipeline)
    assert {*tables} >= {"orders", "orders__items", "customers", "keyed", "linked", "_dlt_loads"}
    assert tables["keyed"]["columns"][0] == {
        "name": "id",
        "description": "The key.",
        "data_type": "BIGINT",
        "data_tests": ["unique", "not_null"],
    }
    link = {"to": "source('raw', 'keyed')", "field": "id"}
    assert tables["linked"]["columns"][0]["data_tests"] == [{"relationships": {"arguments": link}}]
    nested = {column["name"]: column for column in tables["orders__items"]["columns"]}
    parent = {"to": "source('raw', 'orders')", "field": "_dlt_id"}
    assert {"relationships": {"arguments": parent}} in nested["_dlt_parent_id"]["data_tests"]


def test_old_dbt(pipeline: dlt.Pipeline) -> None:
    """Before 1.10 dbt knows neither `loaded_at_query` nor `arguments`."""
    sources = dbt_sources(pipeline, loaded_at_field=True)
    text = json.dumps(sources)
    assert "loaded_at_query" not in text
    assert "arguments" not in text
    loads = sources["sources"][0]["tables"][-1]
    assert loads["config"]["loaded_at_field"] == "inserted_at"


@pytest.mark.slow
def test_dbt_builds_it(dlt_world: Path, pipeline: dlt.Pipeline) -> None:
    """It is read by dbt, its tests pass, and freshness is the time of the last load."""
    text = update_sources_yml("", dbt_sources(pipeline)).text
    steps = ["dbt source freshness", "dbt build"]
    job = write_project(dlt_world / "shop", {}, text, steps=steps)
    last = rows(pipeline, "select max(inserted_at) from _dlt_loads")
    with LocalDBTCloud(jobs=[job]) as cloud:
        run = run_dbt_cloud_job(cloud.credentials, raise_on_failure=True)
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
    fresh = "select distinct status, max_loaded_at from dbt_cloud_source_freshness"
    assert rows(pipeline, fresh) == [("pass", last[0][0])]
    tests = "select status, count(*) > 20 from dbt_cloud_node_results group by status"
    assert rows(pipeline, tests) == [("pass", True)]


def test_update(pipeline: dlt.Pipeline) -> None:
    """What people wrote stays: comments, order, descriptions and tests. What is new is added."""
    sources = dbt_sources(pipeline)
    updated = update_sources_yml(PEOPLES, sources)
    assert updated.gone == ["raw.people.gone", "raw.former"]
    lines = iter(updated.text.splitlines())
    assert all(line in lines for line in PEOPLES.splitlines())  # one after the other
    assert "            data_type: BIGINT\n" in updated.text
    assert "      - name: orders__items\n" in updated.text
    assert update_sources_yml(updated.text, sources) == updated
    new = YAML(typ="safe").load(updated.text)["sources"][0]["tables"][0]["columns"]
    assert [column["name"] for column in new][:3] == ["gone", "id", "_dlt_load_id"]
    assert new[1]["data_tests"] == ["unique"]


def test_nothing_loaded(dlt_world: Path) -> None:
    """A pipeline that has loaded nothing has no sources, and a folder of files none for dbt."""
    with pytest.raises(InvalidCredentialsException, match="has loaded nothing yet"):
        dbt_sources(pipeline_in(dlt_world))
    files = dlt.destinations.filesystem(str(dlt_world / "files"))
    pipeline = dlt.pipeline("files", str(dlt_world), destination=files, dataset_name="raw")
    pipeline.run(orders(1))
    with pytest.raises(InvalidCredentialsException, match="load into a database that dbt can read"):
        dbt_sources(pipeline)


@pytest.mark.parametrize(
    "text", ["a: [", "7", "[1]", "sources: 7", "sources: [7]", "sources: [{name: raw, tables: 7}]"]
)
def test_odd_files(text: str) -> None:
    """A file that is no `sources.yml` is refused, and stays as it is."""
    with pytest.raises(InvalidCredentialsException, match="The file"):
        update_sources_yml(text, {"sources": [{"name": "raw", "tables": []}]})


def command(*words: str) -> int:
    """Carries out the command, and returns its exit code."""
    parser = argparse.ArgumentParser()
    configure_parser(parser)
    return execute(parser.parse_args(["sources", *words]))


def test_command(
    dlt_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints, writes, updates and checks a file. A file that is behind exits with 1."""
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(dlt_world / "shop.duckdb"))
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")
    pipeline.run(orders(1))
    assert command("shop") == 0
    printed = capsys.readouterr().out
    assert "- name: orders__items" in printed
    assert command("shop", "--check") == 1
    told = "models/sources.yml is not up to date: pass --output to update it.\n"
    assert capsys.readouterr().out == told
    assert command("shop", "--output", "models/sources.yml") == 0
    assert Path("models/sources.yml").read_text() == printed
    assert command("shop", "--check") == 0
    pipeline.run(customers(1))
    assert command("shop", "--check") == 1
    Path("models/sources.yml").write_text(PEOPLES)
    capsys.readouterr()
    assert command("shop", "--output", "models/sources.yml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["gone"] == ["raw.people.gone", "raw.former"]
    assert command() == command("unknown") == 2


def test_sample(dlt_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources of the sample are up to date with what its pipeline loads."""
    monkeypatch.syspath_prepend(str(SAMPLES))
    config = (SAMPLES / ".dlt" / "config.toml").read_text()
    (dlt_world / ".dlt" / "config.toml").write_text(config)
    Container()[PluggableRunContext].reload(str(dlt_world))
    pipeline = dlt.pipeline("flights", destination="duckdb", dataset_name="nycflights13")
    pipeline.extract(import_module("flights_pipeline").nycflights13())
    pipeline.normalize()
    text = (SAMPLES / "flights_dbt" / "models" / "sources.yml").read_text()
    assert update_sources_yml(text, dbt_sources(pipeline)) == (text, [])
