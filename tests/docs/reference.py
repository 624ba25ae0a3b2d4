"""Writes the page of the settings, from the settings: `make reference`."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from dlt_dbt_cloud import DBTCloudConfiguration
from dlt_dbt_cloud._api import TRIGGER_FIELDS

PATH = Path(__file__).parents[2] / "docs" / "settings.md"
HEAD = """# Settings

You can give a setting in four places:

- as an argument of a function: `run_dbt_cloud_job(wait_timeout=3600)`,
- as a field of `DBTCloudConfiguration`, which `credentials=` takes,
- in `.dlt/config.toml` or `.dlt/secrets.toml`, in `[dbt_cloud]` or `[<pipeline name>.dbt_cloud]`,
- in the environment, as `DBT_CLOUD__<NAME>`. The other config providers of dlt work too.

```toml
[dbt_cloud]
wait_timeout = 3600

[flights.dbt_cloud]
job_name = "Nightly flights"
steps_override = ["dbt build --select flights+"]
```

If a setting is in several places, the first of these wins:

1. the local dbt Cloud that a test or script runs under: host, account, token and job,
2. the argument,
3. `credentials=`,
4. `[<pipeline name>.dbt_cloud]`: the pipeline of `load_info=` or `pipeline=`, else the active one,
5. `[dbt_cloud]`,
6. the default.

At log level INFO, a line names the section that the job comes from. For a misspelt name, a warning
suggests the right one.

This page is made from the code: `make reference`.
"""


def reference() -> str:
    """Returns the page."""
    return "\n".join([HEAD, *_lines()]) + "\n"


def _lines() -> Iterator[str]:
    names = set(DBTCloudConfiguration.get_resolvable_fields())
    settings = [it for it in fields(DBTCloudConfiguration) if it.name in names]
    yield "| setting | meaning | default |"
    yield "|---|---|---|"
    yield from (_row(it) for it in settings if it.name not in TRIGGER_FIELDS)
    yield ""
    yield "These settings override what the job says, for one run. Each is also a key of `data=`:"
    yield ""
    yield "| setting | meaning | default |"
    yield "|---|---|---|"
    yield from (_row(it) for it in settings if it.name in TRIGGER_FIELDS)


def _row(setting: Any) -> str:
    default = "" if setting.default in (None, "") else f"`{setting.default}`"
    if isinstance(setting.default, bool):
        default = default.lower()
    return f"| `{setting.name}` | {setting.metadata['doc']} | {default} |"


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
