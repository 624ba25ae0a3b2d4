"""Finds each setting in the first of several layers: a call's arguments, credentials, places."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dlt.common.typing import ConfigValueSentinel

from dlt_dbt_cloud._settings.messages import nearest
from dlt_dbt_cloud._settings.places import ABSENT, Place

ALTERNATIVES: Final = (("job_id", "job_name"), ("git_sha", "git_branch"))
"""Settings that exclude each other: the nearer one wins, in one layer the first."""


@dataclass(frozen=True)
class Given:
    """Settings that the caller passes. They are not shown in tracebacks with locals."""

    name: str
    settings: Mapping[str, Any] = field(repr=False)

    def get(self, name: str, hint: Any) -> Any:  # noqa: ARG002  # as a place
        """Returns the value of a setting, `ABSENT` if it was not passed."""
        value = self.settings.get(name, ABSENT)
        return ABSENT if isinstance(value, ConfigValueSentinel) else value

    def __str__(self) -> str:
        return self.name


Layer = Given | Place


@dataclass(frozen=True)
class Found:
    """Settings as they were found.

    Attributes:
        values: The values by name, without those that no layer has.
        layers: Where each was found.
    """

    values: dict[str, Any] = field(default_factory=dict, repr=False)
    layers: dict[str, Layer] = field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        """Yields what can't be meant about where the settings are."""
        job = self.layers.get("job_id")
        if isinstance(job, Place) and self.layers.get("job_name") is job:
            yield f"`job_id` and `job_name` are both in {job}. Remove one of them."
        token = self.layers.get("api_token")
        if isinstance(token, Place) and not token.may_hold("api_token"):
            yield f"`api_token` is in {token}, which is not for secrets. Move it to secrets.toml."

    def absent(self, names: Sequence[str]) -> list[str]:
        """Returns those of the names that have no value. `job_name` may stand for `job_id`."""
        given = {name for name, value in self.values.items() if value not in (None, "")}
        given |= {"job_id"} if "job_name" in given else set()
        return [name for name in names if name not in given]


def find(fields: Mapping[str, Any], layers: Sequence[Layer]) -> Found:
    """Returns all settings that the layers have, each from the first that has it."""
    found = Found()
    for name, hint in fields.items():
        for layer in layers:
            value = layer.get(name, hint)
            if value is not ABSENT:
                found.values[name], found.layers[name] = value, layer
                break
    for first, second in ALTERNATIVES:
        if found.values.get(first) and found.values.get(second):
            ranks = [layers.index(found.layers[name]) for name in (first, second)]
            found.values[second if ranks[0] <= ranks[1] else first] = None
    return found


def misspelt(fields: Mapping[str, Any], places: Sequence[Place]) -> Iterator[str]:
    """Yields a sentence for each setting in a place that is none."""
    for place in places:
        unknown = (name for name in place.names() if name not in fields)
        yield from (f"Unknown setting `{n}` in {place}.{nearest(n, fields)}" for n in unknown)
