"""What can go wrong with a local dbt Cloud before it serves anything."""

from dlt_dbt_cloud.exceptions import DBTCloudException


class LocalDBTCloudException(DBTCloudException):
    """The local dbt Cloud can't start. The message says what to do."""
