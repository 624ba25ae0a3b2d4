"""What is installed and imported."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import dlt_dbt_cloud
from dlt_dbt_cloud import exceptions

PACKAGE = Path(dlt_dbt_cloud.__file__).parent


def test_public_names() -> None:
    """`__all__` is sorted and lists just what the package offers."""
    assert sorted(dlt_dbt_cloud.__all__) == dlt_dbt_cloud.__all__ == dir(dlt_dbt_cloud)
    for name in dlt_dbt_cloud.__all__:
        assert getattr(dlt_dbt_cloud, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'run_job'"):
        dlt_dbt_cloud.run_job  # noqa: B018  # it is asked for


def test_version() -> None:
    """`__version__` is the version of the installed package."""
    assert dlt_dbt_cloud.__version__ == importlib.metadata.version("dlt-dbt-cloud")


def test_every_exception_is_public_and_drawn() -> None:
    """Each exception is in the tree of the docstring, and importable from the package."""
    names = [name for name in vars(exceptions) if name.endswith("Exception")]
    ours = [name for name in names if getattr(exceptions, name).__module__ == exceptions.__name__]
    assert set(ours) <= set(dlt_dbt_cloud.__all__)
    drawn = exceptions.__doc__ or ""
    assert [name for name in ours if name not in drawn] == []


def imported(code: str) -> set[str]:
    """Returns what is imported by some code."""
    code = f"import sys; {code}; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_plugin_is_tiny() -> None:
    """Dlt imports our plugin at every use: it adds nothing but itself."""
    before, after = (
        imported(f"import dlt.common.configuration.plugins{ours}")
        for ours in ("", ", dlt_dbt_cloud.plugin")
    )
    added = {name for name in after - before if not name.startswith("dlt.")}
    assert added == {"dlt_dbt_cloud", "dlt_dbt_cloud.plugin"}


def test_import_is_light() -> None:
    """The import needs neither the local server's nor anyone else's packages."""
    modules = imported("from dlt_dbt_cloud import run_dbt_cloud_job")
    heavy = {"flask", "werkzeug", "dbt", "duckdb", "pyarrow", "pandas", "pytest", "responses"}
    assert heavy.isdisjoint(modules)


def test_typed_and_licensed() -> None:
    """Type checkers see the annotations; the license is Apache-2.0."""
    assert (PACKAGE / "py.typed").exists()
    metadata = importlib.metadata.metadata("dlt-dbt-cloud")
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"


def test_dependencies() -> None:
    """Without extras the package needs dlt and requests alone."""
    requires = importlib.metadata.requires("dlt-dbt-cloud") or []
    assert {r.split(">")[0] for r in requires if "extra ==" not in r} == {"dlt", "requests"}
