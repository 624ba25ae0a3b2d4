"""Serves a job whose runs take some seconds: `python -m tests.benchmarks.serve_script SECONDS`.

It prints the settings for a client, and serves until its standard input is closed.
"""

import json
import logging
import sys

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob

if __name__ == "__main__":
    logging.disable()
    job = ScriptedJob(statuses=[(0, 3), (float(sys.argv[1]), 10)])
    with LocalDBTCloud(jobs=[job]) as cloud:
        sys.stdout.write(f"{json.dumps(cloud.settings())}\n")
        sys.stdout.flush()
        sys.stdin.read()
