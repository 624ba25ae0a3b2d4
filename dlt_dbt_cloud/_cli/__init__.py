"""The command `dlt dbt-cloud`."""
