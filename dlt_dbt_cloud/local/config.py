"""Jobs that are described in a TOML file."""

from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.jobs import DBTJob, ScriptedJob


def jobs_from_toml(path: str | Path) -> list[DBTJob | ScriptedJob]:
    """Read the jobs of a TOML file: tables `[[jobs]]` with the fields of a job.

    A table with a `project_dir` is a `DBTJob`, any other a `ScriptedJob`. Folders, and a `dbt` that
    is a path, are relative to the file.

    Raises:
        LocalDBTCloudException: The file describes no jobs.
    """
    path = Path(path)
    try:
        tables = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap().get("jobs")
    except (OSError, TOMLKitError) as e:
        raise LocalDBTCloudException(f"{path} can't be read: {e}") from e
    if not isinstance(tables, list) or not tables:
        raise LocalDBTCloudException(f"{path} describes no jobs. Add a table [[jobs]].")
    return [_job(path, table) for table in tables]


def _job(path: Path, table: dict[str, Any]) -> DBTJob | ScriptedJob:
    kind = DBTJob if "project_dir" in table else ScriptedJob
    folders = {
        key: path.absolute().parent / table[key]
        for key in ("project_dir", "profiles_dir", "cwd", "dbt")
        if key in table and (key != "dbt" or "/" in table[key])
    }
    try:
        return kind(**{**table, **folders})
    except TypeError as e:
        message = str(e).replace(f"{kind.__name__}.__init__() ", "")
        raise LocalDBTCloudException(f"{path}: a job of the file {message}.") from e
