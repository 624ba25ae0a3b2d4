"""Reads the manifests of runs: the nodes of a project. Runs of one commit share one."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from http import HTTPStatus
from typing import Any, Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._values import dict_of, list_of, str_of
from dlt_dbt_cloud.exceptions import DBTCloudHTTPException
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.sources.schema import NODE_PARENTS, NODE_SOURCES, NODES
from dlt_dbt_cloud.sources.tables import Row

KINDS: Final = (
    *("nodes", "sources", "exposures", "metrics", "semantic_models", "saved_queries"),
    "unit_tests",
)
KEPT: Final = 4
"""Number of manifests that are remembered."""

DECIDING: Final = ("job_definition_id", "git_sha", "dbt_version", "environment_id")
"""The fields of a run that decide how dbt reads a project, beside the overrides."""


class Manifest:
    """A version of a project: its nodes, what they read, and what they are built from.

    Attributes:
        id: Its hash.
        rows: The rows of `dbt_cloud_nodes` by their unique ids.
        project_name: The dbt project.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        kinds = (dict_of(manifest.get(kind)) for kind in KINDS)
        entries = {key: dict_of(entry) for kind in kinds for key, entry in kind.items()}
        self.rows = {key: NODES.row(node_values(key, entry)) for key, entry in entries.items()}
        parents = dict_of(manifest.get("parent_map"))
        self._parents = {
            key: list_of(parents.get(key) or dict_of(entry.get("depends_on")).get("nodes"))
            for key, entry in entries.items()
        }
        text = json.dumps([self.rows, self._parents], sort_keys=True, default=str)
        self.id = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._source_names = {
            key: {"source_name": entry.get("source_name"), "table_name": entry.get("name")}
            for key, entry in dict_of(manifest.get("sources")).items()
            if isinstance(entry, dict)
        }
        self.project_name = str_of(dict_of(manifest.get("metadata")).get("project_name")) or None

    def about(self, unique_id: str) -> Row:
        """Returns the columns that the results of a node lack."""
        row = self.rows.get(unique_id, {})
        names = ("attached_node", "materialization", "path", "tags", "severity", "relation_name")
        return {name: row[name] for name in names if row.get(name) is not None}

    def table_rows(self, table: str) -> Iterator[Row]:
        """Yields the rows of a table."""
        if table == NODES.name:
            return ({**row, "manifest_id": self.id} for row in self.rows.values())
        if table == NODE_PARENTS.name:
            return (
                NODE_PARENTS.row({"manifest_id": self.id, "unique_id": key, "parent_id": parent})
                for key, parents in self._parents.items()
                for parent in dict.fromkeys(map(str, parents))
            )
        return self._source_rows()

    def _source_rows(self) -> Iterator[Row]:
        sources = self._source_names
        found: dict[str, set[str]] = {}
        graph = {
            key: [it for it in of if isinstance(it, str) and it in self.rows]
            for key, of in self._parents.items()
        }
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError:  # it is no manifest of dbt
            return
        for key in order:
            parents = graph[key]
            found[key] = set().union(*(found[it] for it in parents), sources.keys() & {*parents})
            if self.rows[key]["resource_type"] in ("test", "unit_test"):
                continue
            for source in sorted(found[key]):
                values = {"manifest_id": self.id, "unique_id": key, "source_id": source}
                yield NODE_SOURCES.row({**self.rows[source], **sources[source], **values})


def node_values(unique_id: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry of a manifest as values of a row: flattened."""
    config = dict_of(entry.get("config"))
    return {
        **{name: entry[name] for name in NODES.columns if name in entry},
        "unique_id": unique_id,
        "path": entry.get("original_file_path"),
        "identifier": entry.get("identifier") or entry.get("alias"),
        "materialization": config.get("materialized"),
        "severity": config.get("severity"),
    }


class Manifests:
    """The manifests that were read last."""

    def __init__(self) -> None:
        self._known: dict[str, Manifest] = {}
        self._lock = threading.Lock()

    async def of(self, io: IO, api: RunsApi, run: DBTCloudRun) -> Manifest | None:
        """Returns the manifest of a run, None if it has none. Only one is read at a time.

        Raises:
            DBTCloudAPIException: It can't be read.
        """
        with self._lock:
            trigger = dict_of(run.get("trigger"))
            overrides = {name: it for name, it in trigger.items() if name.endswith("_override")}
            key = json.dumps([overrides, *(run.get(it) for it in DECIDING)], default=str)
            if not run.get("git_sha") or key not in self._known:
                manifest = await self._read(io, api, run)
                if manifest is None:
                    return None
                same = (it for it in self._known.values() if it.id == manifest.id)
                manifest = next(same, manifest)  # each takes megabytes
                self._known = dict([*self._known.items(), (key, manifest)][-KEPT:])
            return self._known[key]

    async def _read(self, io: IO, api: RunsApi, run: DBTCloudRun) -> Manifest | None:
        try:
            found = dict_of(await io.call(api.get_artifact, run.id, "manifest.json"))
        except DBTCloudHTTPException as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise
        has_project = str_of(dict_of(found.get("metadata")).get("project_name"))
        return Manifest(found) if has_project or dict_of(found.get("nodes")) else None
