"""A program that keeps dbt warm. The Python of dbt runs it, so it needs nothing but dbt."""
