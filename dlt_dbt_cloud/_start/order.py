"""An order: the run of a job, or the retry of a failed run, to be created exactly once.

The API has no idempotency key, so the trigger of a run carries a tag in its `cause`. The tag comes
first: there it survives if the cause is cut, and it has no character that is ever escaped.
"""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud._api import TRIGGER_FIELDS, RunsApi
from dlt_dbt_cloud._values import dict_of
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.run import DBTCloudRun

MAX_CAUSE: Final = 255
"""Maximum length of a `cause` in characters (apache/airflow#34676)."""


def new_tag() -> str:
    """Returns a tag for one call."""
    return f"dlt:{secrets.token_hex(8)}"


def tagged(cause: str, tag: str) -> str:
    """Returns the tag and the cause, in at most 255 characters."""
    text = f"[{tag}] {cause.strip()}".rstrip()
    return text if len(text) <= MAX_CAUSE else text[: MAX_CAUSE - 1] + "…"


def overrides(trigger: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the overrides in a request, or in the trigger of a run."""
    fields = (name for name in TRIGGER_FIELDS if name != "cause")
    return {name: trigger[name] for name in fields if trigger.get(name) not in (None, "", [])}


class Narrowing(NamedTuple):
    """How a run depends on what loads have changed.

    Attributes:
        load: The load that the run is for.
        known: The same with its packages, or the pipeline, whose destination can be asked.
        narrows: Whether to build only what is downstream of the changed tables.
        skips: Whether to trigger nothing if no table has changed.
    """

    load: Load | None
    known: LoadInfo | Pipeline | None
    narrows: bool
    skips: bool


@dataclass(kw_only=True)
class Order:
    """A run of a job that is wanted.

    Attributes:
        job_id: The job.
        request: The trigger request.
        tag: Tells the run from others.
        variant: Follows the tag, and tells its overrides. "" if the tag tells them by itself.
        is_shared: Whether other calls may have the same order: it is for a load or a key.
        since: The earliest time of such a call, None if only this call counts.
        window: Maximum age of such a call's run in seconds, used instead of `since` unless 0.
        reuse_queued: Whether a queued run with the same overrides will do.
        narrowing: How it depends on what loads have changed, None if it does not.
        narrowed: The fields of the request that this replaces.
        sent_at: When the request was first sent, on the clock of `IO.now`.
        is_open: Whether it was sent, and may have created a run.
        is_ambiguous: Whether an answer to the request was lost.
        covering: Ids of runs of others that were seen in the queue, and so cover the load.
        doubles: Ids of duplicates that were logged already.
    """

    job_id: int
    request: Mapping[str, Any] = field(default_factory=dict)
    tag: str = field(default_factory=new_tag)
    variant: str = ""
    is_shared: bool = False
    since: datetime | None = None
    window: float = 0.0
    reuse_queued: bool = False
    narrowing: Narrowing | None = None
    narrowed: Mapping[str, Any] = field(default_factory=dict)
    sent_at: float = math.inf
    is_open: bool = False
    is_ambiguous: bool = False
    covering: set[int] = field(default_factory=set)
    doubles: set[int] = field(default_factory=set)

    @property
    def may_have_others(self) -> bool:
        """Whether there may be other runs of the order."""
        return self.is_shared or self.is_ambiguous or self.reuse_queued

    @property
    def mark(self) -> str:
        """What to look for among the runs of the job."""
        return f"[{self.tag}] in its cause"

    def post(self, api: RunsApi) -> DBTCloudRun:
        """Creates the run, in one request."""
        request = {**self.request, **self.narrowed}
        cause = tagged(str(request.get("cause") or ""), self.tag + self.variant)
        return api.post_run(self.job_id, {**request, "cause": cause})

    def owns(self, run: DBTCloudRun) -> bool | None:
        """Returns whether an order like this created a run, None if the answer doesn't show it."""
        cause = dict_of(run.get("trigger")).get("cause")
        return self.tag in cause if isinstance(cause, str) else None

    def difference(self, run: DBTCloudRun) -> str:
        """Returns how the overrides of a run with the same key differ, "" if they don't."""
        cause = str(dict_of(run.get("trigger")).get("cause"))
        if not self.variant or self.tag not in cause or self.tag + self.variant in cause:
            return ""
        theirs, ours = overrides(run["trigger"]), overrides(self.request)
        names = [it for it in {**theirs, **ours} if theirs.get(it) != ours.get(it)]
        shown = (f"`{it}` is {theirs.get(it)!r}, not {ours.get(it)!r}" for it in names)
        return ", ".join(shown) or "the API does not show which"

    def reuses(self, run: DBTCloudRun) -> bool:
        """Returns True if a listed run of another caller will do: it waits in the queue."""
        if not self.reuse_queued or self.owns(run) is not False:
            return False
        is_of_job = run.job_id == self.job_id  # a list may ignore the filter
        builds = overrides(run["trigger"])
        narrowed = overrides({**self.request, **self.narrowed})
        return is_of_job and run.is_queued and builds in (overrides(self.request), narrowed)


@dataclass(kw_only=True)
class RetryOrder(Order):
    """A run that continues a failed one from its failed step.

    Only the last run of a job can be retried, so its retry has a higher id.
    """

    failed_id: int

    @property
    def mark(self) -> str:
        """What to look for among the runs of the job."""
        return f"retrying_run_id {self.failed_id}"

    def post(self, api: RunsApi) -> DBTCloudRun:
        """Creates the retry."""
        return api.post_retry(self.failed_id)

    def owns(self, run: DBTCloudRun) -> bool | None:
        """Returns whether a run is the retry: by the run that it names, else by its category."""
        if run.id <= self.failed_id:
            return False
        if isinstance(run.get("retrying_run_id"), int):
            return bool(run["retrying_run_id"] == self.failed_id)
        category = dict_of(run.get("trigger")).get("cause_category")
        return category == "rerun" if category else None
