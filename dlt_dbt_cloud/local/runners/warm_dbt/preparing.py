"""Prepares in idle time what each step would do anew, in small pieces: a step never waits long."""

from __future__ import annotations

import importlib
import inspect
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from .faster import install
from .find import find

_KEPT_MANIFESTS: Final = 4
_MODULES: Final = """
_strptime babel.dates daff dbt.compilation dbt.parser.sql dbt.task.build dbt.task.docs.generate
dbt.task.list dbt_common.clients.agate_helper google.protobuf.descriptor_pb2 multiprocessing.pool
netrc resource sqlparse
"""
_SCHEMAS: Final = """
dbt.contracts.project:ProjectFlags dbt.contracts.project:ProfileConfig
dbt.contracts.project:Project dbt.contracts.project:PackageConfig
dbt.contracts.project:Configuration dbt.contracts.selection:SelectorFile
dbt.task.test:TestResultData
"""
_READ: Final = """
dbt.adapters.contracts.relation:Path dbt.adapters.contracts.relation:Policy
dbt.artifacts.resources.v1.documentation:Documentation
"""
# Making one of these would read the environment and the id of the invocation for good.
_WRITTEN: Final = """
dbt.adapters.contracts.connection:AdapterResponse dbt.adapters.contracts.connection:QueryComment
dbt.artifacts.resources.v1.components:ColumnConfig
dbt.artifacts.resources.v1.components:ColumnInfo dbt.artifacts.resources.v1.components:Quoting
dbt.artifacts.schemas.manifest.v12.manifest:ManifestMetadata
dbt.artifacts.schemas.manifest.v12.manifest:WritableManifest
dbt.artifacts.schemas.results:TimingInfo dbt.artifacts.schemas.run.v5.run:RunResultOutput
dbt.artifacts.schemas.run.v5.run:RunResultsArtifact
dbt.artifacts.schemas.run.v5.run:RunResultsMetadata dbt.contracts.graph.nodes:Documentation
dbt_common.helper_types:WarnErrorOptionsV2
"""


class Memory:
    """Manifests, by the bytes that they were read from."""

    def __init__(self) -> None:
        self._manifests: OrderedDict[bytes, Any] = OrderedDict()

    def load(self, path: str) -> Iterator[None]:
        """Read a manifest, unless it is known. Compiles what is in it, piece by piece."""
        parser = importlib.import_module("dbt.parser.manifest")
        try:
            data = Path(path).read_bytes()
            if data in self._manifests:
                self._manifests.move_to_end(data)
                return
            decoder = parser.extended_mashumuro_decoder
            manifest = parser.Manifest.from_msgpack(data, decoder=decoder)
        except Exception:  # noqa: BLE001  # dbt says so, where people look
            return
        self._manifests[data] = manifest
        while len(self._manifests) > _KEPT_MANIFESTS:
            self._manifests.popitem(last=False)
        yield from _compile(manifest)

    def install(self) -> None:
        """Let dbt take a manifest from here instead of reading the same bytes again."""
        parser = importlib.import_module("dbt.parser.manifest")
        context = importlib.import_module("dbt.mp_context").get_mp_context()
        read = parser.Manifest.from_msgpack

        def from_msgpack(data: bytes, *args: Any, **kwargs: Any) -> Any:
            known = self._manifests.pop(data, None)  # whoever gets it changes it
            if known is None:
                return read(data, *args, **kwargs)
            known._lock = context.Lock()  # noqa: SLF001  # not one that forks share
            return known

        parser.Manifest.from_msgpack = from_msgpack


def prepare(adapters: Sequence[str]) -> Iterator[None]:
    """Import the modules that dbt imports late, and compile what depends on no project."""
    install()
    yield
    versions = (f"dbt.adapters.{adapter}.__version__" for adapter in adapters)
    for name in (*_MODULES.split(), *versions):
        with suppress(Exception):
            importlib.import_module(name)
        yield
    plugins = [f"dbt.adapters.{adapter}:Plugin" for adapter in adapters]
    checked = [*_SCHEMAS.split(), *(f"{it}.credentials" for it in plugins)]
    for path in checked:
        with suppress(Exception):
            find(path).json_schema()
        yield
    read = (*checked, *_READ.split(), *(f"{it}.adapter.Relation" for it in plugins))
    for path in read:
        with suppress(Exception):
            find(path).from_dict({})
        yield
    for path in (*read, *_WRITTEN.split()):
        with suppress(Exception):  # it is empty, but the method is compiled
            object.__new__(find(path)).to_dict()
        yield
    inspect.stack()  # learns where all modules are, which dbt asks when it starts


def _compile(manifest: Any) -> Iterator[None]:
    # dbt keeps what it compiles: of macros and nodes by their text, of classes for good.
    yield
    kinds = {type(n): n for n in (*manifest.nodes.values(), *manifest.macros.values())}
    for node in kinds.values():
        with suppress(Exception):
            node.to_dict(omit_none=True)
            node.to_resource().to_dict(omit_none=False)
        yield
    cache = find("dbt_common.clients.jinja:template_cache")
    for macro in list(manifest.macros.values()):
        with suppress(Exception):
            cache.get_node_template(macro)
        yield
    environment = find("dbt_common.clients.jinja:get_environment")()
    for node in list(manifest.nodes.values()):
        with suppress(Exception):
            environment.compile(node.raw_code)
        yield
    for node in kinds.values():  # for those that are parsed again
        with suppress(Exception):
            type(node.config).json_schema()
        yield
        with suppress(Exception):
            type(node).json_schema()
        yield
