"""Serves a dbt project on a local dbt Cloud: `python -m tests.benchmarks.serve DIR`.

It prints the settings for a client, and serves until its standard input is closed.
"""

import json
import sys

from dlt_dbt_cloud.local import LocalDBTCloud

if __name__ == "__main__":
    with LocalDBTCloud(sys.argv[1]) as cloud:
        sys.stdout.write(f"{json.dumps(cloud.settings())}\n")
        sys.stdout.flush()
        sys.stdin.read()
