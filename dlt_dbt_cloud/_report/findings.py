"""The findings of a check of the settings, the token and the job."""

import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

from dlt_dbt_cloud.exceptions import DBTCloudCheckException


class Finding(NamedTuple):
    """What was found about one thing.

    Attributes:
        check: What was checked.
        ok: Whether it is as it should be, None if it could not be checked.
        message: What was found, and what to do if it is not ok.
        is_warning: Whether it works, but should be changed.
        error: The exception that says why it is not ok, if there is one.
    """

    check: str
    ok: bool | None = None
    message: str = "not checked"
    is_warning: bool = False
    error: Exception | None = None

    @property
    def mark(self) -> str:
        """The outcome in a word."""
        if self.ok is None:
            return "-"
        return "warn" if self.is_warning else ("ok" if self.ok else "fix")

    def to_dict(self) -> dict[str, Any]:
        """Returns what scripts read."""
        return {"check": self.check, "ok": self.ok, "message": self.message}

    def __str__(self) -> str:
        message = textwrap.indent(self.message.strip(), f"{'':14}").lstrip()
        return f"{self.mark:5}{self.check:9}{message}"


class DBTCloudCheck:
    """The report of `check_dbt_cloud_job`: `print` it.

    Attributes:
        findings: What was found about each thing, in the order of the checks.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)

    @property
    def problems(self) -> list[str]:
        """The problems that keep the job from running, each with what to do."""
        return [finding.message for finding in self.findings if finding.ok is False]

    @property
    def warnings(self) -> list[str]:
        """What works, but should be changed."""
        return [finding.message for finding in self.findings if finding.is_warning]

    def raise_on_problems(self) -> None:
        """Raises an exception if there is any problem.

        Raises:
            DBTCloudCheckException: With all of them.
        """
        if self.problems:
            raise DBTCloudCheckException(str(self), problems=self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))

    def __repr__(self) -> str:
        return f"<dbt Cloud check: {len(self.problems)} problem(s)>"
