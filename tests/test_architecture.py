"""The house: which room may import which, and how large a room may be."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dlt_dbt_cloud
from tests.simulation.laws import LAWS

NAME = re.compile(r"`([^`]+)`")
PACKAGE = Path(dlt_dbt_cloud.__file__).parent
GROUND = {"_api", "_io", "run", "exceptions", "_values"}
STEPS = {"_start", "_follow", "_report"}
CALLS = {*GROUND, *STEPS, "_call", "client", "configuration", "_settings"}
MAY_IMPORT = {
    "exceptions": {"_values"},
    "_values": {"exceptions"},
    "run": {"exceptions", "_values"},
    "_api": {"run"},
    "_io": {"exceptions"},
    "_settings": {"_api", "_io", "exceptions"},
    "configuration": {"_settings", "_api", "_io", "_values", "exceptions"},
    "_start": GROUND,
    "_follow": {*GROUND, "_start"},
    "_report": GROUND,
    "_http": {*GROUND},
    "client": {*GROUND, "_http", "_start", "configuration"},
    "_call": {*GROUND, *STEPS, "_settings", "client", "configuration"},
    "jobs": {"_call", "_io", "_report", "configuration", "run"},
    "aio": {"_call", "jobs"},
    "airflow": {*CALLS, "aio", "jobs"},
    "sources": CALLS,
    "_cli": {*CALLS, "sources", "local"},
    "plugin": {"_cli"},
    "__main__": {"_cli", "_io", "plugin"},
    "local": {"_io", "_report", "_settings", "configuration", "exceptions", "run"},
    "": {"_values", "client", "configuration", "exceptions", "jobs", "run", "sources"},
}
"""The table of the architecture. A room is a module or a package; "" is the package's face."""
FOR_TYPES = {"exceptions": {"run"}}
"""Modules that may be imported from above for annotations alone: an exception has its run."""

MODULES = sorted(PACKAGE.rglob("*.py"))
CORE = [path for path in MODULES if "local" not in path.parts]


def name_of(path: Path) -> str:
    """Returns the dotted name of a module within the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path) -> set[str]:
    """Returns what a module imports from the package, wherever in it, also for types alone."""
    names = {name_of(module) for module in MODULES}
    tree = ast.parse(path.read_text())
    guards = [it for it in ast.walk(tree) if isinstance(it, ast.If)]
    guarded = {
        it for guard in guards if ast.unparse(guard.test) == "TYPE_CHECKING" for it in guard.body
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dlt_dbt_cloud"):
            module = str(node.module).removeprefix("dlt_dbt_cloud").lstrip(".")
            inner = (f"{module}.{alias.name}".lstrip(".") for alias in node.names)
            modules = {name if name in names else module for name in inner}
            allowed = FOR_TYPES.get(name_of(path), set()) if node in guarded else set()
            found |= modules - allowed
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_import_downwards(path: Path) -> None:
    """A room imports only those that the table allows, and modules of its own."""
    room = name_of(path).split(".")[0]
    rooms = {name.split(".")[0] for name in imports_of(path)} - {room}
    assert rooms <= MAY_IMPORT[room]


def test_modules_have_no_circles() -> None:
    """Each module stands above all that it imports."""
    TopologicalSorter({name_of(path): imports_of(path) for path in MODULES}).prepare()


def test_rooms_are_few() -> None:
    """There are at most 20 rooms outside the local dbt Cloud, and the table names each."""
    rooms = {name_of(path).split(".")[0] for path in MODULES}
    assert rooms == set(MAY_IMPORT)
    faces = {"", "__main__"}
    assert len(rooms - faces - {"local"}) <= 20


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path: Path) -> None:
    """No module has over 300 lines."""
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    """No function has over 30 lines beside its signature and docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines <= 30, node.name


def test_promises_name_their_tests() -> None:
    """Each law and each test that the table of promises names exists."""
    tests = Path(__file__).parent
    page = (tests.parent / "docs" / "architecture.md").read_text()
    table = page.partition("| | promise | tests |")[2]
    named = [name for row in table.splitlines()[2:] for name in NAME.findall(row.split("|")[3])]
    assert len(named) > 40
    laws = {law.__name__ for law in LAWS}
    for name in named:
        file, _, test = name.partition("::")
        path = tests / file
        assert name in laws or f"def {test or 'test_'}" in path.read_text(), name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_python_3_10(path: Path) -> None:
    """A generic `NamedTuple` is that of typing_extensions: Python 3.10 has none to import."""
    tree = ast.parse(path.read_text())
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = [[ast.unparse(base) for base in node.bases] for node in classes]
    if any("NamedTuple" in names and len(names) > 1 for names in bases):
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        found = {node.module for node in imports for it in node.names if it.name == "NamedTuple"}
        assert found == {"typing_extensions"}
