"""What can go wrong, as a tree. Leaves carry the facts as attributes, messages say what to do.

```text
DBTCloudException
├── InvalidCredentialsException             a setting is missing or malformed: nothing was triggered
│   └── DBTCloudJobNotUniqueException       ... no job, or several, have the configured name
├── DBTCloudCheckException                  a check has found problems
├── DBTCloudAPIException                    one request got no usable answer
│   ├── DBTCloudHTTPException               ... it got an error status (a requests.HTTPError)
│   ├── DBTCloudConnectionException         ... it got no answer (a requests.ConnectionError)
│   └── DBTCloudResponseException           ... it got something else than the API's JSON
├── DBTCloudTriggerException                a trigger led to no run that can be followed
│   ├── DBTCloudNotTriggeredException       ... and certainly created none
│   ├── DBTCloudRunKeyException             ... the key has a run with other overrides
│   └── DBTCloudTriggerOutcomeUnknownException  ... and may have created one
├── DBTCloudStoppedException                the caller set `stop`
├── DBTCloudWaitException                   the wait ended before the run
│   ├── DBTCloudWaitTimeoutException        ... at its deadline
│   └── DBTCloudRunUnreachableException     ... because the API stayed unavailable
└── DBTCloudRunException                    a run finished, but did not succeed
    ├── DBTCloudRunFailedException          ... a step failed
    ├── DBTCloudRunCancelledException       ... a person or dbt Cloud cancelled it
    ├── DBTCloudRunTimedOutException        ... it exceeded its timeout
    └── DBTCloudRunOutcomeUnknownException  ... with a status that this version does not know
```
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from dlt.common.exceptions import DltException

from dlt_dbt_cloud._values import printable

if TYPE_CHECKING:  # a run raises these exceptions, so nothing of it is imported here
    from dlt_dbt_cloud.run import DBTCloudRun


class DBTCloudException(DltException):
    """Base of all exceptions of this package. They pickle and copy with all attributes."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    def __reduce__(self) -> Any:
        """Returns how to pickle it. `OSError`, a base of some, would lose the message."""
        return type(self).__new__, (type(self),), {**self.__dict__, "args": self.args}


class InvalidCredentialsException(DBTCloudException, ValueError):
    """A setting is missing or malformed. Nothing was triggered."""


class DBTCloudJobNotUniqueException(InvalidCredentialsException):
    """The configured `job_name` is the name of no job or of several. Nothing was triggered."""

    def __init__(self, message: str, *, job_name: str, matches: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.job_name = job_name
        self.matches = matches


class DBTCloudCheckException(DBTCloudException):
    """A check has found problems that keep the job from being run.

    Attributes:
        problems: What they are, and what to do.
    """

    def __init__(self, message: str, *, problems: list[str]) -> None:
        super().__init__(message)
        self.problems = problems


class DBTCloudAPIException(DBTCloudException, requests.RequestException):
    """One request to the API got no usable answer."""

    url: str
    is_transient: bool
    """Whether the same request may well succeed later."""
    may_have_acted: bool
    """Whether the API may have done what was asked, though it did not say so."""
    retry_after: float | None = None
    """Seconds that the API asked to wait before the next request."""


class DBTCloudHTTPException(DBTCloudAPIException, requests.HTTPError):
    """The API answered with an error status.

    Attributes:
        status_code: The HTTP status.
        user_message: What the API says about it.
        data: The API's detail, a string, an object or None.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        status_code: int,
        user_message: str | None = None,
        data: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.url = url
        self.status_code = status_code
        self.user_message = user_message
        self.data = data
        self.retry_after = retry_after
        self.may_have_acted = status_code == HTTPStatus.REQUEST_TIMEOUT or status_code >= 500  # noqa: PLR2004
        self.is_transient = self.may_have_acted or status_code == HTTPStatus.TOO_MANY_REQUESTS


class DBTCloudConnectionException(DBTCloudAPIException, requests.ConnectionError):
    """The API could not be reached, or the connection broke before it answered."""

    def __init__(self, message: str, *, url: str, is_transient: bool, may_have_acted: bool) -> None:
        super().__init__(message)
        self.url = url
        self.is_transient = is_transient
        self.may_have_acted = may_have_acted


class DBTCloudResponseException(DBTCloudAPIException):
    """The API answered with a success, but not with what was asked for.

    It may be the page of a proxy or a login, a host that is not dbt Cloud's, or another run.
    """

    # A wrong host always answers like this, so a first request reports it instead of retrying.
    is_transient = False
    may_have_acted = True

    def __init__(self, message: str, *, url: str) -> None:
        super().__init__(message)
        self.url = url


class DBTCloudTriggerException(DBTCloudException, requests.RequestException):
    """A trigger did not lead to a run that can be followed.

    Attributes:
        job_id: The job.
        mark: How to recognise the run, if there is one, e.g. the tag in its `cause`.
        url: Where to look at the runs of the job.
    """

    def __init__(self, message: str, *, job_id: int, mark: str, url: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.mark = mark
        self.url = url


class DBTCloudNotTriggeredException(DBTCloudTriggerException):
    """The API stayed unavailable, and certainly created no run."""


class DBTCloudTriggerOutcomeUnknownException(DBTCloudTriggerException):
    """The API may have created a run, but lookups could not tell."""


class DBTCloudRunKeyException(DBTCloudTriggerException):
    """A run with the same `run_key` was triggered with other overrides. No new one was created."""


class DBTCloudStoppedException(DBTCloudException):
    """The call ended because its caller set `stop`."""


class DBTCloudWaitException(DBTCloudException):
    """The wait ended before the run did.

    Attributes:
        runs: The runs that were in progress, as last read.
    """

    def __init__(self, message: str, *, runs: list[DBTCloudRun]) -> None:
        super().__init__(message)
        self.runs = runs

    @property
    def run(self) -> DBTCloudRun:
        """The run, or the first of several."""
        return self.runs[0]


class DBTCloudWaitTimeoutException(DBTCloudWaitException, TimeoutError):
    """The run did not finish within `wait_timeout`."""


class DBTCloudRunUnreachableException(DBTCloudWaitException, requests.RequestException):
    """The status of the run could not be read for longer than `outage_timeout`."""


class DBTCloudRunException(DBTCloudException):
    """A run finished, but did not succeed.

    Attributes:
        run: The finished run.
    """

    def __init__(self, message: str, *, run: DBTCloudRun) -> None:
        super().__init__(message)
        self.run = run


class DBTCloudRunFailedException(DBTCloudRunException):
    """A step of the run failed, or dbt Cloud failed before the first."""


class DBTCloudRunCancelledException(DBTCloudRunException):
    """A person or dbt Cloud cancelled the run."""


class DBTCloudRunTimedOutException(DBTCloudRunException):
    """The run exceeded its timeout, or dbt Cloud's own limit, and dbt Cloud ended it."""


class DBTCloudRunOutcomeUnknownException(DBTCloudRunException):
    """The run finished with a status that this version does not know."""
