"""A run: the API's dict, properties for scripts, and how people see it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dlt_dbt_cloud._values import dict_of, int_of, list_of, str_of
from dlt_dbt_cloud.exceptions import (
    DBTCloudResponseException,
    DBTCloudRunCancelledException,
    DBTCloudRunException,
    DBTCloudRunFailedException,
    DBTCloudRunOutcomeUnknownException,
    DBTCloudRunTimedOutException,
)
from dlt_dbt_cloud.run import wording
from dlt_dbt_cloud.run.fields import LoadedTables, RunFields
from dlt_dbt_cloud.run.html import fragment, fragment_of_many, page
from dlt_dbt_cloud.run.log import DBTCloudRunError
from dlt_dbt_cloud.run.markdown import markdown_of
from dlt_dbt_cloud.run.node import DBTCloudNode, float_of
from dlt_dbt_cloud.run.status import STATUSES, DBTCloudRunStatus, UsualTimes
from dlt_dbt_cloud.run.text import text_of

__all__ = [
    "STATUSES",
    "DBTCloudNode",
    "DBTCloudRun",
    "DBTCloudRunError",
    "DBTCloudRunStatus",
    "LoadedTables",
    "UsualTimes",
]

ADDED: Final = frozenset({"nodes", "usual", "load"})
"""What `DBTCloudRun.to_dict` adds to the fields of the API."""


class DBTCloudRun(RunFields):
    """A run of a dbt Cloud job: the API's dict, with properties for what scripts need.

    `print(run)` tells a person what happened; a notebook shows a table. As a dict it loads with
    `pipeline.run([run])`. No property raises, whatever the API sends.

    Attributes:
        nodes: All models, tests, seeds and snapshots of a finished run, as far as its
            `run_results.json` lists them.
        usual: How long the job's runs usually take, if that was read.
        load: The load that the call was for, if any.
    """

    @classmethod
    def from_api(cls, data: Any, url: str) -> "DBTCloudRun":
        """Returns the run in an answer of the API.

        Raises:
            DBTCloudResponseException: If the answer holds no run.
        """
        run = cls(dict_of(data))
        if not isinstance(run.get("id"), int) or run.id <= 0:
            kind = type(data).__name__
            raise DBTCloudResponseException(f"{url} answered without a run: {kind}", url=url)
        return run

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DBTCloudRun":
        """Returns the run that `to_dict` turned into a dict, or the API's own dict."""
        given = dict_of(data)
        run = cls.from_api({k: v for k, v in given.items() if k not in ADDED}, "from_dict")
        run.nodes = tuple(DBTCloudNode.from_dict(dict_of(it)) for it in list_of(given.get("nodes")))
        usual, load = list_of(given.get("usual")), list_of(given.get("load"))
        if len(usual) == len(UsualTimes._fields):
            run.usual = UsualTimes(*map(float_of, usual))
        if len(load) == len(LoadedTables._fields):
            name, dataset, load_ids, rows = load
            counts = {str_of(table): int_of(n) or 0 for table, n in dict_of(rows).items()}
            ids = [str_of(load_id) for load_id in list_of(load_ids)]
            run.load = LoadedTables(str_of(name), str_of(dataset) or None, ids, counts)
        return run

    def to_dict(self) -> dict[str, Any]:
        """Returns the run with its nodes, usual times and load, as a dict for JSON."""
        nodes = [node.to_dict() for node in self.nodes]
        usual, load = self.usual and [*self.usual], self.load and [*self.load]
        return {**self, "nodes": nodes, "usual": usual, "load": load}

    @classmethod
    def skip(cls, job_id: int, why: str) -> "DBTCloudRun":
        """Returns what stands in for a run that was not triggered."""
        return cls(id=0, job_definition_id=job_id, is_skipped=True, status_message=why)

    def raise_on_failure(self) -> None:
        """Raises an exception unless the run succeeded or is in progress.

        Raises:
            DBTCloudRunException: It did not succeed. The subclass says why.
        """
        if self.is_complete and not self.is_success:
            raise self._exception_type()(str(self), run=self)

    def _exception_type(self) -> type[DBTCloudRunException]:
        if self.is_error:
            return DBTCloudRunFailedException
        if self.is_timed_out:
            return DBTCloudRunTimedOutException
        if self.is_cancelled:
            return DBTCloudRunCancelledException
        return DBTCloudRunOutcomeUnknownException

    @property
    def summary(self) -> str:
        """What happened and why, in a line."""
        parts = [wording.headline(self), "" if self.is_success else wording.reason(self)]
        return f"{'. '.join(part.rstrip('.') for part in parts if part)}. {self.url}".rstrip()

    def to_html(self) -> str:
        """Returns a page of its own, which needs no other file."""
        return page(self)

    def to_markdown(self) -> str:
        """Returns Markdown for GitHub's step summary, Slack and the like."""
        return markdown_of(self)

    def save_report(self, path: str | Path) -> Path:
        """Writes a page about the run, or Markdown if the name ends with `.md`.

        Args:
            path: The file.

        Returns:
            The file.
        """
        path = Path(path)
        text = self.to_markdown() if path.suffix == ".md" else self.to_html()
        path.write_text(text, encoding="utf-8")
        return path

    def __str__(self) -> str:
        """Tells a person what happened, as `print(load_info)` does for a load."""
        return "\n".join(text_of(self))

    def __repr__(self) -> str:
        return f"<{wording.headline(self)}>"

    def _repr_html_(self) -> str:
        """Returns the table that a notebook shows."""
        return fragment(self)


class DBTCloudRuns(list[DBTCloudRun]):
    """Runs, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return fragment_of_many(self)
