"""Tests, and what they share. Neither dlt nor dbt reports them to its makers."""

import os

os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", DBT_SEND_ANONYMOUS_USAGE_STATS="false")
