"""What waiting for a dbt Cloud run costs, beside `dlt.helpers.dbt_cloud` in the same run.

`python -m tests.benchmarks` prints all sections, with a name of one or more, only those. Nothing
is asserted: times depend on the machine, the ratios of what was measured side by side hardly do.
"""

import os

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
