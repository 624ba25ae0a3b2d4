"""The call of a function that takes settings as arguments."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from dlt_dbt_cloud._api import TRIGGER_FIELDS
from dlt_dbt_cloud._settings.messages import nearest

OVERRIDES: Final = "overrides"
"""The parameter `**overrides: Unpack[TriggerOverrides]`."""


class Call:
    """The arguments of a call. They are not shown in tracebacks with locals.

    Raises:
        TypeError: An argument is missing, or not one of the function.
    """

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        signature = inspect.signature(function)
        self._parameters = signature.parameters
        self._check_keywords(function.__name__, kwargs)
        self._bound = signature.bind(*args, **kwargs)

    def _check_keywords(self, function: str, kwargs: Mapping[str, Any]) -> None:
        known = set(self._parameters)
        if OVERRIDES in known:
            known = {*known, *TRIGGER_FIELDS} - {OVERRIDES}
        for name in kwargs:
            if name not in known:
                raise TypeError(
                    f"{function}() got an unexpected keyword argument {name!r}."
                    f"{nearest(name, known)}"
                )

    def get(self, name: str) -> Any:
        """Returns an argument, None if it is not passed."""
        return self._bound.arguments.get(name)

    def settings(self, names: Iterable[str]) -> dict[str, Any]:
        """Returns the arguments of these names that are passed, overrides among them."""
        passed = {**self._bound.arguments, **(self.get(OVERRIDES) or {})}
        return {name: passed[name] for name in names if name in passed}

    def inject(self, settings: Mapping[str, Any]) -> None:
        """Sets the parameters that are settings, and `credentials` to all of them."""
        known = {**settings, "credentials": settings}
        values = {name: known[name] for name in self._parameters if name in known}
        self._bound.arguments.update(values)

    def carry_out(self, function: Callable[..., Any]) -> Any:
        """Returns what the function returns."""
        return function(*self._bound.args, **self._bound.kwargs)
