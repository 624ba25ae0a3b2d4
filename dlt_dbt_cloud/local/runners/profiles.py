"""The dbt project and profile of a job: found, checked before anything runs, derived for a run."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml  # type: ignore[import-untyped]

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException


@dataclass(frozen=True)
class Profile:
    """The profile that a dbt project names, as written in a `profiles.yml`.

    Attributes:
        path: The `profiles.yml`.
        name: Which of the profiles in it.
        target: Which of its outputs.
        outputs: The outputs by name.
    """

    path: Path
    name: str
    target: str
    outputs: dict[str, dict[str, Any]]

    @property
    def connection(self) -> str:
        """What the connection is called in the name of a step."""
        return str(self.outputs.get(self.target, {}).get("type", self.name))

    @property
    def adapters(self) -> set[str]:
        """The adapters that its outputs name, if Jinja doesn't hide them."""
        types = {str(output.get("type")) for output in self.outputs.values()}
        return {name for name in types if name.isidentifier()}

    def derive(self, folder: Path, schema: str | None, target: str | None) -> None:
        """Write the profile into a folder, with another schema, maybe as another target.

        On dbt Cloud a target name is nothing but the value of `target.name`. Here it selects the
        output of that name, and where there is none the job's own output takes the name.
        """
        outputs = copy.deepcopy(self.outputs)
        if target and target not in outputs:
            outputs[target] = copy.deepcopy(outputs[self.target])
        if schema:
            for output in outputs.values():
                output["dataset" if "dataset" in output else "schema"] = schema
        derived = {self.name: {"target": target or self.target, "outputs": outputs}}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "profiles.yml").write_text(yaml.safe_dump(derived), encoding="utf-8")


def find_profile(
    project_dir: Path, profiles_dir: Path | None, target: str | None, env: Mapping[str, str]
) -> Profile:
    """Find and check what dbt would find.

    Raises:
        LocalDBTCloudException: There is no dbt project, or its profile can't be used.
    """
    project = project_dir / "dbt_project.yml"
    if not project.is_file():
        raise LocalDBTCloudException(
            f"No dbt project in {project_dir}: there is no dbt_project.yml. "
            "Name the folder of a dbt project."
        )
    name = _read(project).get("profile")
    if not isinstance(name, str):
        raise LocalDBTCloudException(f"{project} names no profile. Add a line `profile: NAME`.")
    path = _profiles_dir(project_dir, profiles_dir, env) / "profiles.yml"
    return _profile(path, name, target)


def _profiles_dir(project_dir: Path, profiles_dir: Path | None, env: Mapping[str, str]) -> Path:
    if profiles_dir is not None:
        return profiles_dir
    if "DBT_PROFILES_DIR" in env:
        return project_dir / env["DBT_PROFILES_DIR"]
    return project_dir if (project_dir / "profiles.yml").is_file() else Path.home() / ".dbt"


def _profile(path: Path, name: str, target: str | None) -> Profile:
    if not path.is_file():
        raise LocalDBTCloudException(
            f"No dbt profile: {path} does not exist. Write it there, or name its folder as "
            "profiles_dir."
        )
    profiles = _read(path)
    if name not in profiles:
        raise LocalDBTCloudException(
            f"{path} has no profile {name!r}, which dbt_project.yml names. It has: "
            f"{', '.join(map(str, profiles)) or 'none'}."
        )
    profile = profiles[name] if isinstance(profiles[name], dict) else {}
    outputs = profile.get("outputs")
    if not isinstance(outputs, dict) or not all(isinstance(o, dict) for o in outputs.values()):
        raise LocalDBTCloudException(f"The profile {name!r} in {path} has no outputs.")
    return Profile(path, name, _target(path, name, profile, target), outputs)


def _target(path: Path, name: str, profile: dict[str, Any], target: str | None) -> str:
    chosen = target or str(profile.get("target", "default"))
    if "{{" in chosen:  # Jinja is dbt's business
        return str(next(iter(profile["outputs"])))
    if chosen not in profile["outputs"]:
        raise LocalDBTCloudException(
            f"The profile {name!r} in {path} has no target {chosen!r}. It has: "
            f"{', '.join(map(str, profile['outputs'])) or 'none'}."
        )
    return chosen


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise LocalDBTCloudException(f"{path} does not parse: {e}. Correct it first.") from e
    if not isinstance(content, dict):
        raise LocalDBTCloudException(f"{path} does not parse: it holds no settings.")
    return cast("dict[str, Any]", content)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server with the job's own variables over it."""
    return {**os.environ, **env}
