"""Carries out the runs of jobs: real dbt, warm, or a script."""
