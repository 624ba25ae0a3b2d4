"""What is compared: a run watched by this package, and one watched by dlt's helper."""

from typing import Any, Final

from dlt.helpers import dbt_cloud as helper
from dlt.helpers.dbt_cloud.configuration import DBTCloudConfiguration as HelperConfiguration

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudConfiguration
from dlt_dbt_cloud._call import run_job
from dlt_dbt_cloud._io import run
from dlt_dbt_cloud.configuration import resolve_dbt_cloud_configuration

from .fake_api import ClockIO, FakeAPI

TOKEN: Final = "benchmark"


def ours_config(**settings: Any) -> DBTCloudConfiguration:
    """Returns the settings, whatever the files of the machine say."""
    ids: dict[str, Any] = {"api_token": TOKEN, "account_id": "1", "job_id": "1"}
    explicit = {**ids, "progress": "off", **settings}
    return resolve_dbt_cloud_configuration(DBTCloudConfiguration(**explicit))


def run_ours(api: FakeAPI) -> None:
    """Triggers a run and waits for its end with this package."""
    config = ours_config(wait_timeout=10 * api.ends_at)
    client = DBTCloudClientV2(credentials=config, outage_timeout=0)
    run(run_job(ClockIO(api.clock), client, config))


def run_helper(api: FakeAPI) -> None:
    """Triggers a run and waits for its end with dlt's helper."""
    credentials = HelperConfiguration(api_token=TOKEN, account_id="1", job_id="1")
    helper.run_dbt_cloud_job(credentials)
