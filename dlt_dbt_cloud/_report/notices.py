"""Short messages about a run for GitHub Actions and Slack, each with its own escaping."""

import os
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.run import DBTCloudRun, wording
from dlt_dbt_cloud.run.log import shortened

MAX_ANNOTATIONS: Final = 10
"""GitHub shows ten errors of a step."""

MAX_SUMMARY: Final = 2**20
"""Maximum size of GitHub's step summary in bytes."""


def annotations(run: DBTCloudRun, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yields GitHub's commands that mark failures in the files of a pull request."""
    if environment.get("GITHUB_ACTIONS") != "true" or run.is_success:
        return
    root = Path(environment.get("GITHUB_WORKSPACE") or ".")
    failures = [(node.name, node.message, node.file, node.line) for node in run.failed_nodes]
    failures += [(f"dbt {it.kind}", it.message, it.file, it.line) for it in run.errors]
    for name, message, file, line in failures[:MAX_ANNOTATIONS]:
        at = {"file": _in_repository(root, file), "line": line, "title": name}
        written = ",".join(f"{key}={_property(str(it))}" for key, it in at.items() if it)
        yield f"::error {written}::{_data(shortened(message, 1000) or 'No message.')}"


def write_summary(run: DBTCloudRun, environment: Mapping[str, str] = os.environ) -> None:
    """Adds a run to the summary of a step, if this is a step of GitHub Actions."""
    if not (name := environment.get("GITHUB_STEP_SUMMARY")):
        return
    path, text = Path(name), f"{run.to_markdown()}\n".encode()
    if (path.stat().st_size if path.exists() else 0) + len(text) < MAX_SUMMARY:
        with path.open("ab") as summary:
            summary.write(text)


def slack_text(run: DBTCloudRun) -> str:
    """Returns a short message about a run: its link, and what failed first."""
    title = escape(wording.title(run), quote=False)
    title = f"<{run.url}|{title}>" if run.url else title
    failures = [(error.kind, error.message) for error in run.errors]
    failures += [(it.name, it.message) for it in run.failed_nodes[: wording.MAX_NODES]]
    told = [f"*{wording.outcome(run)}*", *wording.notes(run)]
    told += [f"• *{name}* {wording.gist(message)}" for name, message in failures]
    text = escape("\n".join(filter(None, [*told, wording.more(run.failed_nodes)])), quote=False)
    return f"{title}: {text}"


def _in_repository(root: Path, file: str) -> str:
    """Returns the path of a dbt project's file from the root of the repository, if it is there."""
    if not file:
        return ""
    for pattern in (file, f"*/{file}", f"*/*/{file}"):
        try:
            found = sorted(root.glob(pattern))
        except (ValueError, IndexError, NotImplementedError, OSError):  # no name of a file
            return file
        if len(found) == 1:
            return found[0].relative_to(root).as_posix()
    return file


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
