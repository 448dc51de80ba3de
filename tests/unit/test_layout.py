"""Who may import whom. Services meet in the contracts only; what decides is pure; a heavy package has one door."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = frozenset(path.name for path in (ROOT / "libs").iterdir() if (path / "src").is_dir())
SERVICES = frozenset(path.name for path in (ROOT / "services").iterdir() if (path / "src").is_dir())
IMPURE = frozenset({"asyncio", "threading", "time", "random", "uuid", "os", "socket"}) | frozenset(
    {"redis", "sqlalchemy", "psycopg", "psycopg_pool", "litellm", "aiohttp", "structlog", "prometheus_client"}
)
DOORS = ("litellm", "joserfc")
THROUGH_HTTP = frozenset({"auth", "contracts", "runtime", "client", "mcp"})
"""What a service may import that knows the system by its HTTP API alone."""


def sources(part: str) -> list[Path]:
    return sorted(path for path in (ROOT / part).rglob("src/**/*.py") if "proto" not in path.parts)


EVERYTHING = [path for part in ("libs", "services", "cli", "migrations") for path in sources(part)]


@cache
def imported(path: Path) -> frozenset[str]:
    """Dotted names of all that a file imports, also inside functions, except for type checkers alone."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """Which of our packages a file imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("agent_memory.")}


def own(path: Path) -> str:
    return path.relative_to(ROOT).parts[1]


def test_there_is_something_to_look_at() -> None:
    assert {"contracts", "runtime", "eventlog", "readmodels"} <= LIBRARIES
    assert {"gateway", "ingest", "indexer", "rollup"} <= SERVICES


def test_contracts_import_nothing_of_ours() -> None:
    assert {str(path): used for path in sources("libs/contracts") if (used := ours(path) - {"contracts"})} == {}


def test_services_are_imported_by_nobody_but_themselves() -> None:
    assert {str(path): used for path in EVERYTHING if (used := ours(path) & SERVICES - {own(path)})} == {}


def test_the_log_and_the_views_know_nothing_of_how_services_run() -> None:
    below = {"eventlog": {"runtime", "readmodels"}, "readmodels": {"runtime", "eventlog"}, "runtime": {"eventlog", "readmodels"}}
    wrong = {str(path): used for name, above in below.items() for path in sources(f"libs/{name}") if (used := ours(path) & above)}
    assert wrong == {}


def test_the_mcp_gateway_knows_the_system_by_its_http_api_alone() -> None:
    assert {str(path): used for path in sources("services/mcp") if (used := ours(path) - THROUGH_HTTP)} == {}


@pytest.mark.parametrize(
    "path", [path for path in EVERYTHING if path.name in ("domain.py", "cron.py", "job_catalogue.py")], ids=own
)
def test_what_decides_is_pure(path: Path) -> None:
    names = imported(path)
    assert {name.split(".")[0] for name in names} & IMPURE == set()
    assert not any(name.startswith("agent_memory.runtime") for name in names)
    assert not any(isinstance(node, ast.Await | ast.AsyncFunctionDef) for node in ast.walk(ast.parse(path.read_text())))


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_package_has_at_most_one_door(package: str) -> None:
    doors = [path.name for path in EVERYTHING if any(name.split(".")[0] == package for name in imported(path))]
    assert len(doors) <= 1, doors


def test_redisvl_is_known_to_the_views_alone() -> None:
    users = {own(path) for path in EVERYTHING if any(name.split(".")[0] == "redisvl" for name in imported(path))}
    assert users <= {"readmodels"}


def test_every_service_has_the_same_files() -> None:
    missing = {
        f"{service}/{name}.py"
        for service in SERVICES
        for name in ("app", "settings", "handlers", "domain")
        if not (ROOT / "services" / service / "src/agent_memory" / service / f"{name}.py").is_file()
    }
    assert missing - {"gateway/handlers.py"} == set()
