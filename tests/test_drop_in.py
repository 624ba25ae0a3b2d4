"""A drop-in for `dlt.helpers.dbt_cloud`: what works with the helper works with our import."""

import inspect
from collections.abc import Callable

import dlt.helpers.dbt_cloud as helper
import pytest

import dlt_dbt_cloud as ours
from dlt_dbt_cloud import client, configuration
from dlt_dbt_cloud.local import LocalDBTCloud

NAMES = ("run_dbt_cloud_job", "get_dbt_cloud_run_status", "DBTCloudClientV2")


def test_names() -> None:
    """Names are found where the helper has them."""
    for name in (*NAMES, "DBTCloudConfiguration"):
        assert hasattr(ours, name)
    assert client.DBTCloudClientV2 is ours.DBTCloudClientV2
    assert client.InvalidCredentialsException is ours.InvalidCredentialsException
    assert configuration.DBTCloudConfiguration is ours.DBTCloudConfiguration


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name: str) -> None:
    """Parameters that the helper has keep their order and their defaults."""
    theirs = inspect.signature(getattr(helper, name)).parameters.values()
    for before, now in zip(theirs, positional(getattr(ours, name)), strict=True):
        assert before.name == now.name
        if before.default is not inspect.Parameter.empty:
            assert before.default == now.default


def positional(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Returns the parameters that may be passed by position."""
    parameters = inspect.signature(function).parameters.values()
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter for parameter in parameters if parameter.kind in named]


@pytest.mark.parametrize("waits", [False, True])
def test_calls(waits: bool, local_dbt_cloud: LocalDBTCloud) -> None:
    """The calls of dlt's own tests for its helper return a run with an id that has not failed."""
    triggered = ours.run_dbt_cloud_job(wait_for_outcome=waits)
    read = ours.get_dbt_cloud_run_status(run_id=triggered["id"], wait_for_outcome=waits)
    for run in (triggered, read):
        assert run.get("id") == triggered.id
        assert not run.get("is_error")
