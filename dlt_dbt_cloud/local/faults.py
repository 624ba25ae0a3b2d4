"""Faults on the wire that a test sets, and the requests that a test can read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with a request, see `LocalDBTCloud.fail_next`.

    Make one with the methods of this class. "Commits" means that dbt Cloud carries
    out the request although the client gets no proper answer.
    """

    commits: bool
    drops: bool = False
    status: int | None = None
    is_html: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    is_lagging_list: bool = False
    is_late_artifact: bool = False

    @classmethod
    def commit_then_drop(cls) -> "Fault":
        """The connection breaks after the request was carried out, before any answer."""
        return cls(commits=True, drops=True)

    @classmethod
    def drop(cls) -> "Fault":
        """The connection breaks before the request was carried out."""
        return cls(commits=False, drops=True)

    @classmethod
    def commit_then_answer(cls, status: int = 502, *, html: bool = True) -> "Fault":
        """The request is carried out, and a gateway answers instead, with HTML or JSON."""
        return cls(commits=True, status=status, is_html=html)

    @classmethod
    def answer(cls, status: int = 500, *, html: bool = False) -> "Fault":
        """The request is not carried out but answered with this status, as JSON or HTML."""
        return cls(commits=False, status=status, is_html=html)

    @classmethod
    def too_many_requests(cls, retry_after: float | str | None = None) -> "Fault":
        """The rate limit is exceeded: 429, with or without the header `Retry-After`."""
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return cls(commits=False, status=429, headers=headers)

    @classmethod
    def not_found(cls) -> "Fault":
        """404, as dbt Cloud sometimes answers for a run that was created a moment ago."""
        return cls(commits=False, status=404)

    @classmethod
    def slow(cls, seconds: float) -> "Fault":
        """The request is carried out, the answer comes that much later."""
        return cls(commits=True, seconds=seconds)

    @classmethod
    def lagging_list(cls) -> "Fault":
        """A list of runs doesn't show the runs that were created since this fault was set."""
        return cls(commits=True, is_lagging_list=True)

    @classmethod
    def late_artifacts(cls) -> "Fault":
        """The artifacts are not there yet: the list is null, a file is 404."""
        return cls(commits=False, is_late_artifact=True)


@dataclass(frozen=True)
class Request:
    """A request that was served.

    Attributes:
        method: Its method.
        path: Its path with the query.
        status: The status of the answer, None if the connection was dropped.
        body: The body that was sent, as text.
    """

    method: str
    path: str
    status: int | None
    body: str = ""
