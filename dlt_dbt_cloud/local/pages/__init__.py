"""The pages of a local dbt Cloud: its jobs and runs, in a browser on this machine."""

from dlt_dbt_cloud.local.pages.app import with_pages

__all__ = ["with_pages"]
