"""The query of a request: which keys an endpoint knows, what they must be, what they select.

dbt Cloud refuses unknown keys and wrong values, it does not ignore them. Keys that are described
but that no client sends are not served.
"""

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from functools import partial
from reprlib import repr as brief
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from dlt_dbt_cloud.local.api.envelopes import RefusedError, invalid, typed

LIMIT: Final = 100
_DELETED: Final = ("deleted", 2)

Parser = Callable[[str], Any]


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{brief(text)} is not of type 'integer'") from None


def _array(text: str) -> list[Any]:
    # JSON, the one spelling of a list that dbt Cloud takes in a filter.
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = None
    return items if isinstance(items, list) else typed(text, "array")


def _integers(text: str) -> list[int]:
    return [typed(item, "integer") for item in _array(text)]


def _range(text: str) -> list[datetime]:
    ends = _array(text)
    if len(ends) != 2:  # noqa: PLR2004  # two ends
        raise ValueError(f"{brief(ends)} is not a range")
    return [_moment(end) for end in ends]


def _moment(item: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(item).replace("Z", "+00:00"))
    except (ValueError, RecursionError):
        raise ValueError(f"{brief(item)} is not a 'date-time'") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _limit(text: str) -> int:
    number = _integer(text)
    if number > LIMIT:
        raise invalid(f"{brief(number)} is greater than the maximum of {LIMIT}", "limit")
    if number < 1:
        raise invalid(f"{brief(number)} is less than the minimum of 1", "limit")
    return number


def _offset(text: str) -> int:
    number = _integer(text)
    if number < 0:
        raise ValueError(f"{brief(number)} is less than the minimum of 0")
    return number


def _order(known: tuple[str, ...], text: str) -> str:
    if text.removeprefix("-") not in known:
        raise invalid(f"{brief(text)} is not one of {list(known)!r}", "order")
    return text


def _state(text: str) -> str | int:
    if text not in ("active", "deleted", "all", "1", "2"):
        raise ValueError(f"{brief(text)} is not one of ['active', 'deleted', 'all']")
    return int(text) if text.isdigit() else text


def _related(text: str) -> list[str]:
    """Read the names of related objects, in each of the spellings that clients use.

    `trigger,job`, `["trigger","job"]`, `['trigger', 'job']`, and with empty items.
    """
    names = text.strip().removeprefix("[").removesuffix("]").split(",")
    return [name for raw in names if (name := raw.strip().strip("\"'"))]


_PAGE: Final[Mapping[str, Parser]] = {
    "account_id": _integer,
    "environment_id": _integer,
    "include_related": _related,
    "limit": _limit,
    "offset": _offset,
    "pk": _integer,
    "project_id": _integer,
    "project_id__in": _integers,
    "state": _state,
}
RUNS: Final[Mapping[str, Parser]] = {
    **_PAGE,
    "created_at__range": _range,
    "finished_at__range": _range,
    "id__gt": _integer,
    "job_definition_id": _integer,
    "order_by": partial(_order, ("id", "created_at", "finished_at")),
    "pk__in": _integers,
    "status": _integer,
    "status__in": _integers,
}
JOBS: Final[Mapping[str, Parser]] = {
    **_PAGE,
    "name__icontains": str,
    "order_by": partial(_order, ("id", "created_at", "name")),
}
ONE: Final[Mapping[str, Parser]] = {"include_related": _related}
ARTIFACT: Final[Mapping[str, Parser]] = {**ONE, "step": _integer}
NONE: Final[Mapping[str, Parser]] = {}

_UNSERVED: Final = """
dbt_version dbt_version__in deferring_run_id has_docs_generated has_sources_generated
is_fusion_ready is_system triggers_schedule
"""
UNSERVED: Final = frozenset(_UNSERVED.split())
"""Keys of the lists that are described but not served."""


def parsed(query: MultiDict[str, str], known: Mapping[str, Parser]) -> dict[str, Any]:
    """Read a query. Of a key that is repeated the last value counts, of `include_related` all.

    Raises:
        RefusedError: A key is unknown or its value is of the wrong type.
    """
    _check_keys(sorted(set(query) - set(known)), known)
    try:
        values = {key: known[key](query.getlist(key)[-1]) for key in query}
    except ValueError as e:
        raise invalid(str(e), "any.wrong_value") from None
    if "include_related" in values:
        texts = query.getlist("include_related")
        values["include_related"] = [name for text in texts for name in _related(text)]
    return values


def _check_keys(unknown: list[str], known: Mapping[str, Parser]) -> None:
    if not unknown:
        return
    if "limit" in known and UNSERVED.issuperset(unknown):
        message = f"The local dbt Cloud doesn't filter by {', '.join(unknown)}."
        raise RefusedError(501, message, "any.unserved_key")
    keys = ", ".join(map(repr, unknown))
    verb = "was" if len(unknown) == 1 else "were"
    message = f"Additional properties are not allowed ({keys} {verb} unexpected)"
    raise invalid(message, "any.unknown_key")


def select(items: Iterable[Any], query: Mapping[str, Any]) -> list[Any]:
    """Select and order runs or jobs."""
    if query.get("state") in _DELETED:
        return []
    tests = [
        (_FIELDS[field], _OPERATORS[how], wanted)
        for key, wanted in query.items()
        for field, _, how in [key.partition("__")]
        if field in _FIELDS
    ]
    selected = [
        item for item in items if all(test(value(item), wanted) for value, test, wanted in tests)
    ]
    return _ordered(selected, query.get("order_by", "id"))


_NAMES: Final = "id created_at environment_id finished_at name project_id status"
_FIELDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **{name: operator.attrgetter(name) for name in _NAMES.split()},
    "job_definition_id": operator.attrgetter("job.id"),
    "pk": operator.attrgetter("id"),
}
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "": operator.eq,
    "in": lambda value, wanted: value in wanted,
    "gt": operator.gt,
    "range": lambda value, wanted: value is not None and wanted[0] <= value <= wanted[1],
    "icontains": lambda value, wanted: wanted.lower() in value.lower(),
}


def _ordered(items: list[Any], order_by: str) -> list[Any]:
    key, is_reversed = order_by.removeprefix("-"), order_by.startswith("-")

    def value(item: Any) -> tuple[bool, Any, int]:
        found = getattr(item, key)
        return (found is None, found if found is not None else 0, item.id)  # null comes last

    return sorted(items, key=value, reverse=is_reversed)


def page(
    items: list[Any], query: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Cut a page, and describe it as the `extra` of a list does, defaults included."""
    filters = {"limit": LIMIT, "offset": 0, **defaults, **query}
    shown = items[filters["offset"] : filters["offset"] + filters["limit"]]
    order_by = filters.pop("order_by", "id")
    filters.pop("include_related", None)
    return shown, {
        "filters": filters,
        "order_by": order_by,
        "pagination": {"count": len(shown), "total_count": len(items)},
    }
