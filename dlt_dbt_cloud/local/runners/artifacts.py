"""The artifacts of a run: the files in the target folders of its steps, and no others."""

from collections.abc import Iterator
from pathlib import Path

from dlt_dbt_cloud.local.state.records import Run


def listed(run: Run) -> list[str]:
    """List the paths of the artifacts. A later step replaces those of an earlier one."""
    return sorted({path for folder in _folders(run) for path in _files(folder)})


def found(run: Run, path: str, step_index: int | None) -> Path | None:
    """Find an artifact: of the given step, or of the last step that has it."""
    folders = reversed(_folders(run, step_index))
    return next((file for folder in folders if (file := _inside(folder, path))), None)


def _folders(run: Run, step_index: int | None = None) -> list[Path]:
    return [
        step.target_path
        for step in run.steps
        if run.artifacts_saved and step.target_path and step_index in (None, step.index)
    ]


def _files(folder: Path) -> Iterator[str]:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return (path for path in paths if _inside(folder, path))


def _inside(folder: Path, path: str) -> Path | None:
    # A link or a `..` may point anywhere: what counts is where the file really is.
    try:
        file = (folder / path).resolve()
        is_inside = file.is_file() and file.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a null byte
        return None
    return file if is_inside else None
