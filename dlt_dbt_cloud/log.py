"""The logger of the package."""

import logging

# A child of dlt's logger: it has dlt's level, format and handlers. dlt's own `logger` module drops
# every record until a pipeline has been created; through the standard library a warning is seen
# also in a script that has none.
logger = logging.getLogger("dlt.dbt_cloud")
