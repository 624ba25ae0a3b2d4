"""The query of a request: which keys an endpoint knows, what they must be, what they select.

dbt Cloud refuses unknown keys and wrong values, it does not ignore them; the words of the refusals
are those of Python's jsonschema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, Final

from dlt_dbt_cloud.local.state.records import Job, Run

LIMIT: Final = 100
_DELETED: Final = ("deleted", 2)
_NEVER: Final = ("is_fusion_ready", "is_system", "triggers_schedule")
"""What no job of a local dbt Cloud is."""
_RUN_ORDERS: Final = ("id", "created_at", "finished_at")
_JOB_ORDERS: Final = ("id", "name", "created_at")

Parser = Callable[[str], Any]


class InvalidQueryError(ValueError):
    """The query is not one of the endpoint. The text is what dbt Cloud says."""


def integer(text: str) -> int:
    """Read a number."""
    try:
        return int(text)
    except ValueError:
        raise InvalidQueryError(f"{text!r} is not of type 'integer'") from None


def boolean(text: str) -> bool:
    """Read true or false."""
    if text.lower() not in ("true", "false"):
        raise InvalidQueryError(f"{text!r} is not of type 'boolean'")
    return text.lower() == "true"


def array(text: str) -> list[Any]:
    """Read a JSON array, the one spelling of a list that dbt Cloud takes in a filter."""
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list):
        raise InvalidQueryError(f"{text!r} is not of type 'array'")
    return items


def integers(text: str) -> list[int]:
    """Read a JSON array of numbers."""
    items = array(text)
    for item in items:
        if not isinstance(item, int):
            raise InvalidQueryError(f"{item!r} is not of type 'integer'")
    return items


def moments(text: str) -> list[datetime]:
    """Read a range of time, a JSON array of its two ends."""
    items = array(text)
    if len(items) != 2:  # noqa: PLR2004  # two ends
        raise InvalidQueryError(f"{items!r} is not a range")
    return [_moment(item) for item in items]


def _moment(item: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(item).replace("Z", "+00:00"))
    except ValueError:
        raise InvalidQueryError(f"{item!r} is not a 'date-time'") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def limit(text: str) -> int:
    """Read how many items to return at most."""
    number = integer(text)
    if not 1 <= number <= LIMIT:
        bound = (
            "greater than the maximum of 100" if number > LIMIT else "less than the minimum of 1"
        )
        raise InvalidQueryError(f"{number} is {bound}")
    return number


def offset(text: str) -> int:
    """Read how many items to leave out."""
    number = integer(text)
    if number < 0:
        raise InvalidQueryError(f"{number} is less than the minimum of 0")
    return number


def state(text: str) -> str | int:
    """Read a state of deletion."""
    if text not in ("active", "deleted", "all", "1", "2"):
        raise InvalidQueryError(f"{text!r} is not one of ['active', 'deleted', 'all']")
    return int(text) if text.isdigit() else text


def related(text: str) -> list[str]:
    """Read the names of related objects, in each of the spellings that clients use.

    `trigger,job`, `["trigger","job"]`, `['trigger', 'job']`, and with empty places.
    """
    names = text.strip().removeprefix("[").removesuffix("]").split(",")
    return [name for raw in names if (name := raw.strip().strip("\"'"))]


_PAGE: Final[Mapping[str, Parser]] = {
    "account_id": integer,
    "include_related": related,
    "limit": limit,
    "offset": offset,
    "order_by": str,
    "pk": integer,
    "project_id": integer,
    "project_id__in": integers,
    "environment_id": integer,
    "state": state,
}
RUNS: Final[Mapping[str, Parser]] = {
    **_PAGE,
    "created_at__range": moments,
    "dbt_version": str,
    "dbt_version__in": array,
    "deferring_run_id": integer,
    "finished_at__range": moments,
    "has_docs_generated": boolean,
    "has_sources_generated": boolean,
    "id__gt": integer,
    "job_definition_id": integer,
    "pk__in": integers,
    "status": integer,
    "status__in": integers,
}
JOBS: Final[Mapping[str, Parser]] = {
    **_PAGE,
    "dbt_version__in": array,
    "is_fusion_ready": boolean,
    "is_system": boolean,
    "name__icontains": str,
    "triggers_schedule": boolean,
}
ONE: Final[Mapping[str, Parser]] = {"include_related": related}
ARTIFACT: Final[Mapping[str, Parser]] = {**ONE, "step": integer}
NONE: Final[Mapping[str, Parser]] = {}


def parsed(query: Mapping[str, str], known: Mapping[str, Parser]) -> dict[str, Any]:
    """Read a query.

    Raises:
        InvalidQueryError: A key is unknown or its value is of the wrong type.
    """
    unknown = sorted(set(query) - set(known))
    if unknown:
        keys = ", ".join(map(repr, unknown))
        verb = "was" if len(unknown) == 1 else "were"
        raise InvalidQueryError(f"Additional properties are not allowed ({keys} {verb} unexpected)")
    return {key: known[key](value) for key, value in query.items()}


def includes(query: Mapping[str, Any]) -> frozenset[str]:
    """Say which related objects a query includes."""
    return frozenset(query.get("include_related", ()))


def select_runs(
    runs: Iterable[Run], query: Mapping[str, Any], facts: Callable[[Run], Mapping[str, Any]]
) -> list[Run]:
    """Select and order runs. `facts` gives the fields that the API shows but no record holds."""
    if query.get("state") in _DELETED:
        return []
    tests = _tests(query)
    selected = [
        run
        for run in runs
        if all(test(_run_value(run, key, facts(run)), wanted) for key, test, wanted in tests)
    ]
    return _ordered(selected, query.get("order_by", "id"), _RUN_ORDERS)


def select_jobs(
    jobs: Iterable[Job], query: Mapping[str, Any], facts: Callable[[Job], Mapping[str, Any]]
) -> list[Job]:
    """Select and order jobs. `facts` gives the fields that the API shows."""
    if query.get("state") in _DELETED or any(query.get(key) for key in _NEVER):
        return []
    text = query.get("name__icontains", "").lower()
    tests = _tests(query)
    selected = [
        job
        for job in jobs
        if text in job.name.lower()
        and all(
            test(facts(job)["id" if key == "pk" else key], wanted) for key, test, wanted in tests
        )
    ]
    return _ordered(selected, query.get("order_by", "id"), _JOB_ORDERS)


_NOT_FILTERS: Final = frozenset(
    {
        "include_related",
        "is_fusion_ready",
        "is_system",
        "limit",
        "name__icontains",
        "offset",
        "order_by",
        "state",
        "triggers_schedule",
    }
)


def _tests(query: Mapping[str, Any]) -> list[tuple[str, Callable[[Any, Any], bool], Any]]:
    return [
        (field, _OPERATORS[operator], wanted)
        for key, wanted in query.items()
        if key not in _NOT_FILTERS
        for field, _, operator in [key.partition("__")]
    ]


def _in_range(value: Any, wanted: Any) -> bool:
    return value is not None and bool(wanted[0] <= value <= wanted[1])


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "": lambda value, wanted: bool(value == wanted),
    "in": lambda value, wanted: value in wanted,
    "gt": lambda value, wanted: bool(value > wanted),
    "range": _in_range,
}


def _run_value(run: Run, key: str, facts: Mapping[str, Any]) -> Any:
    if key in ("created_at", "finished_at"):
        return getattr(run, key)
    return facts["id" if key == "pk" else key]


def _ordered(items: list[Any], order_by: str, known: tuple[str, ...]) -> list[Any]:
    key, is_reversed = order_by.removeprefix("-"), order_by.startswith("-")
    if key not in known:
        raise InvalidQueryError(f"{order_by!r} is not one of {list(known)!r}")

    def value(item: Any) -> tuple[bool, Any, int]:
        found = getattr(item, key)
        return (found is None, found if found is not None else 0, item.id)  # null comes last

    return sorted(items, key=value, reverse=is_reversed)


def page(
    items: list[Any], query: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Cut a page, and describe it as the `extra` of a list does, defaults included."""
    first = query.get("offset", 0)
    shown = items[first : first + query.get("limit", LIMIT)]
    given = {key: value for key, value in query.items() if key not in _NOT_SHOWN}
    filters = {"limit": LIMIT, "offset": 0, **defaults, **given}
    return shown, {
        "filters": {key: _shown(value) for key, value in filters.items()},
        "order_by": query.get("order_by", "id"),
        "pagination": {"count": len(shown), "total_count": len(items)},
    }


_NOT_SHOWN: Final = frozenset({"include_related", "order_by"})


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [str(item) if isinstance(item, datetime) else item for item in value]
    return value
