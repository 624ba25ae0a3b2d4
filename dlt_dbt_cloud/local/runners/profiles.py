"""The dbt project and profile of a job: found, checked before anything runs, derived for a run."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml  # type: ignore[import-untyped]
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException


@dataclass(frozen=True)
class Profile:
    """The profile that a dbt project names, as written in a `profiles.yml`.

    Attributes:
        path: The `profiles.yml`.
        content: All that is in it.
        name: Which of the profiles in it, None if only dbt can tell.
        target: Which of its outputs, None if only dbt can tell.
    """

    path: Path
    content: dict[str, Any]
    name: str | None
    target: str | None

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Its outputs by name."""
        return dict(self.content[self.name]["outputs"]) if self.name else {}

    @property
    def output(self) -> dict[str, Any]:
        """The output that the job uses."""
        return self.outputs.get(self.target or "", {})

    @property
    def connection(self) -> str:
        """What the connection is called in the name of a step."""
        return str(self.output.get("type", self.name or "profile"))

    @property
    def adapters(self) -> set[str]:
        """The adapters that its outputs name, if Jinja doesn't hide them."""
        types = {str(output.get("type")) for output in self.outputs.values()}
        return {name for name in types if name.isidentifier()}

    def derive(self, folder: Path, schema: str | None, target: str | None) -> None:
        """Write the profiles into a folder, with another schema, and with an output for a target.

        On dbt Cloud a target name is nothing but the value of `target.name`. Here it selects the
        output of that name. If there is none, the job's own output takes the name.

        Raises:
            LocalDBTCloudException: Only dbt can tell which output that is.
        """
        content = copy.deepcopy(self.content)
        if target and target not in self.outputs:
            if not self.name or not self.output:
                raise LocalDBTCloudException(
                    f"{self.path} has no target {target!r}, and the job's own target is not known."
                )
            content[self.name]["outputs"][target] = copy.deepcopy(self.output)
        for output in _all_outputs(content) if schema else ():
            output["dataset" if "dataset" in output else "schema"] = schema
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(content, allow_unicode=True)
        (folder / "profiles.yml").write_text(text, encoding="utf-8")


def _all_outputs(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    profiles = [profile for profile in content.values() if isinstance(profile, dict)]
    found = [p["outputs"] for p in profiles if isinstance(p.get("outputs"), dict)]
    return [output for outputs in found for output in outputs.values() if isinstance(output, dict)]


@dataclass(frozen=True)
class Finder:
    """Finds the profile of a dbt project as dbt would, if it is called in `cwd` with `env`.

    A given `profiles_dir` or `target` wins over what dbt would find.
    """

    project_dir: Path
    profiles_dir: Path | None
    target: str | None
    cwd: Path
    env: Mapping[str, str]

    def find(self) -> Profile:
        """Find and check what dbt would find.

        Raises:
            LocalDBTCloudException: There is no dbt project, or its profile can't be used.
        """
        project = self.project_dir / "dbt_project.yml"
        if not project.is_file():
            raise LocalDBTCloudException(
                f"No dbt project in {self.project_dir}: there is no dbt_project.yml. "
                "Name the folder of a dbt project."
            )
        name = _read(project).get("profile")
        if not isinstance(name, str):
            raise LocalDBTCloudException(f"{project} names no profile. Add a line `profile: NAME`.")
        path = self._folder() / "profiles.yml"
        if not path.is_file():
            raise LocalDBTCloudException(
                f"No dbt profile: {path} does not exist. Write it there, or name its folder as "
                "profiles_dir."
            )
        return self._profile(path, _read(path), self.render(name))

    def render(self, text: str) -> str | None:
        """Render Jinja as far as it only needs environment variables. None if it needs dbt."""
        try:
            template = SandboxedEnvironment(undefined=StrictUndefined).from_string(text)
            return str(template.render(env_var=self._env_var))
        except (TemplateError, LookupError, TypeError, ValueError):
            return None

    def _env_var(self, name: str, default: str | None = None) -> str:
        return self.env[name] if default is None else self.env.get(name, default)

    def _folder(self) -> Path:
        if self.profiles_dir is not None:
            return self.profiles_dir
        if self.env.get("DBT_PROFILES_DIR"):
            return self.cwd / Path(self.env["DBT_PROFILES_DIR"]).expanduser()
        folders = (self.cwd, self.project_dir)
        found = (folder for folder in folders if (folder / "profiles.yml").is_file())
        return next(found, Path.home() / ".dbt")

    def _profile(self, path: Path, content: dict[str, Any], name: str | None) -> Profile:
        if name is None:
            return Profile(path, content, None, None)
        _check_known(name, content, f"{path} has no profile {name!r}, which dbt_project.yml names.")
        profile = content[name] if isinstance(content[name], dict) else {}
        outputs = profile.get("outputs")
        if not isinstance(outputs, dict) or not all(isinstance(o, dict) for o in outputs.values()):
            raise LocalDBTCloudException(f"The profile {name!r} in {path} has no outputs.")
        target = self.target or self.render(str(profile.get("target", "default")))
        if target is not None:
            message = f"The profile {name!r} in {path} has no target {target!r}."
            _check_known(target, outputs, message)
        return Profile(path, content, name, target)


def _check_known(name: str, known: Collection[str], message: str) -> None:
    if name not in known:
        names = ", ".join(map(str, known)) or "none"
        raise LocalDBTCloudException(f"{message} It has: {names}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise LocalDBTCloudException(f"{path} does not parse: {e}. Correct it first.") from e
    if not isinstance(content, dict):
        raise LocalDBTCloudException(f"{path} does not parse: it holds no settings.")
    return cast("dict[str, Any]", content)
