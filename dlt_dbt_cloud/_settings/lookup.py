"""Finds settings in a call's arguments, its `credentials`, and the sections of dlt's providers.

dlt's own resolution depends on contexts of the calling thread, and changes them for the time of a
call, which breaks calls of parallel resources. So it is done here, where contexts never change.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from dlt.common.configuration import ConfigValueCannotBeCoercedException, known_sections
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import EnvironProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.base_configuration import extract_inner_hint
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.configuration.utils import deserialize_value
from dlt.common.pipeline import PipelineContext
from dlt.common.typing import ConfigValueSentinel

SECTION: Final = known_sections.DBT_CLOUD

ALTERNATIVES: Final = (("job_id", "job_name"), ("git_sha", "git_branch"))
"""Settings that exclude each other: the first layer with one of them wins, in it the first."""


class Place(NamedTuple):
    """A section of one of dlt's providers."""

    provider: ConfigProvider
    pipeline_name: str | None

    def values(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings that are there, each converted to its type if possible."""
        found = (
            {} if self.provider.is_empty else {n: self._read(n, h)[0] for n, h in fields.items()}
        )
        for name, value in found.items():
            with suppress(ConfigValueCannotBeCoercedException):  # its check refuses it
                inner = extract_inner_hint(fields[name])
                found[name] = None if value is None else deserialize_value(name, value, inner)
        return {name: value for name, value in found.items() if value is not None}

    def key(self, name: str) -> str:
        """Returns what the provider calls a setting."""
        return self._read(name, str)[1]

    def may_hold(self, name: str) -> bool:
        """Returns False if the setting is a secret, and the provider not for secrets."""
        return name != "api_token" or self.provider.supports_secrets

    def names(self) -> Iterator[str]:
        """Yields the names of all that is set there, as far as the provider can list it."""
        if isinstance(self.provider, EnvironProvider):
            prefix = self.key("")
            found = (name.removeprefix(prefix) for name in os.environ if name.startswith(prefix))
            yield from (name.lower() for name in found if name and "__" not in name)
            return
        section, _ = self.provider.get_value(SECTION, dict, self.pipeline_name or "")
        items = section.items() if isinstance(section, Mapping) else ()
        yield from (name for name, value in items if not isinstance(value, Mapping))

    def _read(self, name: str, hint: Any) -> tuple[Any, str]:
        return self.provider.get_value(name, hint, self.pipeline_name or "", SECTION)

    def __str__(self) -> str:
        section = ".".join(filter(None, (self.pipeline_name, SECTION)))
        return f"[{section}] ({self.provider.name})"


@dataclass(frozen=True, eq=False)
class Layer:
    """Settings of one source: a place, or what the caller passes. Tracebacks don't show values."""

    source: Place | str
    values: Mapping[str, Any] = field(repr=False)


def find(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Returns the first layer that has it, for each setting."""
    found: dict[str, Layer] = {}
    for layer in layers:
        for name, value in layer.values.items():
            if not isinstance(value, ConfigValueSentinel):
                found.setdefault(name, layer)
    for pair in ALTERNATIVES:
        if all(name in found and found[name].values[name] for name in pair):
            del found[max(reversed(pair), key=lambda name: layers.index(found[name]))]
    return found


def places(pipeline_name: str | None) -> list[Place]:
    """Returns the places, the one that wins first."""
    providers = Container()[PluggableRunContext].providers.providers
    sections = dict.fromkeys((pipeline_name, None))
    return [Place(it, section) for section in sections for it in providers if it.supports_sections]


def active_pipeline_name() -> str | None:
    """Returns the name of the pipeline whose section wins, if there is one.

    That is the pipeline that this thread runs or has activated, else that of the main thread.
    """
    name = _pipeline_of_thread()
    main = threading.main_thread()
    if name or threading.current_thread() is main:
        return name
    # dlt knows its pools by this name: they see the contexts of the thread that started them.
    with ThreadPoolExecutor(1, thread_name_prefix=f"dlt-pool-{main.ident}-dbt-cloud") as pool:
        return pool.submit(_pipeline_of_thread).result()


def _pipeline_of_thread() -> str | None:
    container = Container()
    context = container[PipelineContext]
    active = context.pipeline().pipeline_name if context.is_active() else None
    return container[ConfigSectionContext].pipeline_name or active
