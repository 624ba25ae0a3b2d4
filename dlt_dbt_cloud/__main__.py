"""`python -m dlt_dbt_cloud`: what `dlt dbt-cloud` does, also where dlt takes no commands."""

import sys

from dlt_dbt_cloud.cli import main

if __name__ == "__main__":
    sys.exit(main())
