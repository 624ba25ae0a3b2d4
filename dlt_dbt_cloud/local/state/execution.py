"""How the runs of a job are carried out: what a dbt job and a scripted job have in common."""

from __future__ import annotations

from typing import Protocol


class Execution(Protocol):
    """One run on its way. The world calls it with its lock held; none of the calls blocks."""

    def begin(self) -> None:
        """The run is the first of its queue: start."""
        ...

    def looked_at(self) -> None:
        """A client asked for the run."""
        ...

    def cancel(self, status_message: str) -> None:
        """End the run as cancelled, now or soon."""
        ...

    def retry_refusal(self) -> str | None:
        """Say why the failed run can't be retried, as dbt Cloud names it. None if it can."""
        ...

    def join(self) -> None:
        """Wait until nothing of the run is left. Called without the lock."""
        ...
