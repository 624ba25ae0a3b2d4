"""Where settings are looked for: the sections of dlt's providers.

dlt's own resolution depends on contexts of the calling thread, and changes them for the time of a
call, which breaks calls of parallel resources. So providers are read here, and contexts only read.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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

SECTION: Final = known_sections.DBT_CLOUD


ABSENT: Final = object()
"""The value of a setting that is not there."""


class Place(NamedTuple):
    """A section of one of dlt's providers."""

    provider: ConfigProvider
    pipeline_name: str | None

    def get(self, name: str, hint: Any) -> Any:
        """Returns the value of a setting in its type, `ABSENT` if it is not there."""
        value = None if self.provider.is_empty else self._read(name, hint)[0]
        if value is None:
            return ABSENT
        try:
            return deserialize_value(name, value, extract_inner_hint(hint))
        except ConfigValueCannotBeCoercedException:
            return value  # its check refuses it

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

    def __str__(self) -> str:
        section = ".".join(filter(None, (self.pipeline_name, SECTION)))
        return f"[{section}] ({self.provider.name})"

    def _read(self, name: str, hint: Any) -> tuple[Any, str]:
        return self.provider.get_value(name, hint, self.pipeline_name or "", SECTION)


def places(pipeline_name: str | None) -> list[Place]:
    """Returns the places, the one that wins first."""
    providers = Container()[PluggableRunContext].providers.providers
    return [
        Place(provider, section)
        for section in dict.fromkeys((pipeline_name, None))
        for provider in providers
        if provider.supports_sections
    ]


def active_pipeline_name() -> str | None:
    """Returns the name of the pipeline whose section wins, if there is one.

    That is the pipeline that this thread runs or has activated, else that of the main thread.
    """
    name = _pipeline_of_thread()
    main = threading.main_thread()
    if name or threading.current_thread() is main:
        return name
    # By this name dlt lets threads of its pools see the contexts of the thread that started them.
    with ThreadPoolExecutor(1, thread_name_prefix=f"dlt-pool-{main.ident}-dbt-cloud") as pool:
        return pool.submit(_pipeline_of_thread).result()


def _pipeline_of_thread() -> str | None:
    container = Container()
    context = container[PipelineContext]
    active = context.pipeline().pipeline_name if context.is_active() else None
    return container[ConfigSectionContext].pipeline_name or active
