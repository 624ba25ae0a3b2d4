"""The retry policy: which errors are retried, for how long, and how often."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, ParamSpec, TypeVar

from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)

P = ParamSpec("P")
T = TypeVar("T")

MAX_PAUSE: Final = 10.0
"""Maximum pause between two attempts, in seconds."""

REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


def backoff() -> Iterator[float]:
    """Yields the seconds between attempts: 1, 2, 4, 8 and then always 10."""
    seconds = 1.0
    while True:
        yield seconds
        seconds = min(2 * seconds, MAX_PAUSE)


@dataclass(frozen=True)
class RetryPolicy:
    """How long errors are retried, in seconds since the first of their kind.

    Attributes:
        outage: A rate limit, a 5xx, a broken connection.
        refusal: A 401, 403 or 404, an unknown host, a bad certificate. What could be read before
            may well be readable again.
        garbage: An answer that is not the API's. A wrong host sends nothing else, and a first
            request should report that soon.
    """

    outage: float
    refusal: float = 0.0
    garbage: float = 10.0

    def seconds(self, error: DBTCloudAPIException) -> float:
        """Returns how long an error is retried."""
        if error.is_transient:
            return self.outage
        if isinstance(error, DBTCloudResponseException):
            return min(self.garbage, self.outage)
        is_final = isinstance(error, DBTCloudHTTPException) and error.status_code not in REFUSALS
        return 0.0 if is_final else self.refusal


async def retry(
    io: IO, policy: RetryPolicy, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Makes a request that may be repeated, i.e. no trigger, and returns what it returns."""
    since = {policy.outage: io.now()}
    for pause in backoff():
        try:
            return await io.call(function, *args, **kwargs)
        except DBTCloudAPIException as error:
            seconds = policy.seconds(error)
            left = since.setdefault(seconds, io.now()) + seconds - io.now()
            if left <= 0:
                raise
            pause = min(left, max(pause, error.retry_after or 0.0))  # noqa: PLW2901
            if io.now() + pause < io.deadline:
                logger.warning("%s Retrying in %.0f s, for up to %.0f s.", error, pause, left)
            await io.sleep(pause)
            if io.now() >= io.deadline:
                raise
    raise AssertionError  # backoff() never ends
