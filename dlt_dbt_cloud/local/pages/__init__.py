"""The pages of a local dbt Cloud: its jobs and runs, in a browser on this machine."""
