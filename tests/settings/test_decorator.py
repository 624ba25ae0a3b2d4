"""Functions that take settings as arguments, overrides of the run among them."""

import re
from collections.abc import Callable
from typing import Any, get_type_hints

import dlt
import pytest
from typing_extensions import Unpack

from dlt_dbt_cloud import DBTCloudConfiguration, InvalidCredentialsException
from dlt_dbt_cloud.configuration import (
    OTHER_SETTING,
    TRIGGER_FIELDS,
    TriggerOverrides,
    with_dbt_cloud_configuration,
)
from tests.dlt_world import to_nowhere


@with_dbt_cloud_configuration
def triggered(
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    job_id: str | None = None,
    *,
    load_info: Any = None,
    **overrides: Unpack[TriggerOverrides],
) -> DBTCloudConfiguration:
    """Returns its settings."""
    assert job_id == credentials.job_id
    return credentials


def test_overrides(secrets_toml: Callable[[str], None]) -> None:
    """An override passed as a keyword argument beats `credentials` and files; `data` beats it."""
    secrets_toml('[dbt_cloud]\napi_token = "t"\nschema_override = "file"\ngit_sha = "abc"')
    credentials = DBTCloudConfiguration(schema_override="c", threads_override=3)
    config = triggered(credentials, schema_override="ci", git_branch="dev", git_sha=None)
    expected = {"cause": "Triggered via API", "schema_override": "ci", "git_branch": "dev"}
    assert config.trigger_request() == {**expected, "threads_override": 3}
    assert config.trigger_request({"schema_override": "x"})["schema_override"] == "x"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("schema_overide", " Did you mean `schema_override`?"),
        ("job_ids", " Did you mean `job_id`?"),
        ("outage_timeout", OTHER_SETTING.format("outage_timeout")),
        ("zzz", ""),
    ],
)
def test_unknown_keyword(name: str, hint: str) -> None:
    """An unknown keyword argument is a `TypeError` with the nearest name."""
    message = f"triggered() got an unexpected keyword argument '{name}'.{hint}"
    with pytest.raises(TypeError, match=re.escape(message) + "$"):
        triggered(**{name: 1})  # type: ignore[arg-type]


def test_each_override_exists_once() -> None:
    """The keyword arguments and the settings have the same names and types."""
    settings = DBTCloudConfiguration.get_resolvable_fields()
    assert get_type_hints(TriggerOverrides) == {name: settings[name] for name in TRIGGER_FIELDS}


def test_load_info_names_the_pipeline(secrets_toml: Callable[[str], None]) -> None:
    """The section of the pipeline whose load is passed wins over that of the active pipeline."""
    secrets_toml('[dbt_cloud]\napi_token = "t"\njob_id = 77\n[flights.dbt_cloud]\njob_id = 88')
    pipeline = to_nowhere("flights")
    load_info = pipeline.run([{"id": 1}], table_name="t")
    dlt.pipeline("other", pipelines_dir="pipelines")
    assert (triggered().job_id, triggered(load_info=load_info).job_id) == ("77", "88")


def test_requires() -> None:
    """What a function requires is reported with the token, before the function is called."""
    needy = with_dbt_cloud_configuration(requires=("account_id",))(lambda: pytest.fail("called"))
    with pytest.raises(InvalidCredentialsException, match="`api_token` and `account_id` are miss"):
        needy()
