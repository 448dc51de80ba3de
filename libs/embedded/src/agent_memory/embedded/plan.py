"""What a stack consists of: which processes, in which order, on which ports, with which environment. Starts nothing."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from agent_memory.embedded.errors import StackError, folder_error
from agent_memory.embedded.home import Home
from agent_memory.embedded.nursery import Nursery
from agent_memory.embedded.ports import LOOPBACK, free_port, free_ports, require_free
from agent_memory.embedded.postgres import postgres_is_ready, postgres_launch, prepare_postgres
from agent_memory.embedded.probes import is_healthy
from agent_memory.embedded.processes import STOP_SECONDS, Launch, Process, Spawn, spawn
from agent_memory.embedded.redis import prepare_redis, redis_is_ready, redis_launch
from agent_memory.embedded.services import BACKGROUND, EMBEDDINGS, GATEWAY, LOADED_LATE, ServiceSpec, installed
from agent_memory.embedded.state import Role, StackState
from agent_memory.runtime.settings import Settings, SettingsError, load

_SOCKET_PATH_LIMIT = 100
FORKS = sys.platform == "linux"
"""Elsewhere libraries of the system keep threads, and a fork of them is not safe: every service imports for itself."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the stack. `health` as in `ProcessState`; `can_start` holds a start back, without counting it as failed."""

    name: str
    role: Role
    launch: Launch
    ready: Callable[[], bool]
    port: int = 0
    health: str = ""
    spawn: Callable[[Launch], Process] = spawn
    can_start: Callable[[], bool] = lambda: True


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All parts, and where the stack can be reached. `nursery` is where services are forked, None where they are not."""

    parts: list[Part]
    nursery: Nursery | None
    environment: dict[str, str]
    database_url: str
    redis_url: str
    working_memory_redis_url: str
    embeddings_url: str
    http_urls: list[str]
    grpc_ports: list[int]
    grpc_host: str
    grpc_certificate: str
    postgres_data: str


def make_plan(
    home: Home, environment: Mapping[str, str], replicas: Mapping[str, int], before: StackState | None, spawn: Spawn = spawn
) -> Plan:
    """Decides everything that a start needs. Raises StackError for a taken port, a wrong setting, an unusable folder."""
    settings = _settings(environment)
    servers, urls, postgres_data = _servers(home, environment, before)
    # One thread of linear algebra a process: vectors here are short, and a fork may not have threads.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    common = {**threads, **environment, **urls, "AGENT_MEMORY_HOME": str(home.path), "PYTHONUNBUFFERED": "1"}
    models: list[Part] = []
    if _needs_local_model(settings) and installed([EMBEDDINGS]):
        socket = _socket_path(home)
        models = [_model(home, common, socket)]
        common |= {"EMBEDDINGS_URL": f"unix:{socket}", "EMBEDDING_MODEL": "local"}
    gateways = _gateways(home, settings, common, replicas.get(GATEWAY.name, 1))
    services = [*_background(home, common, replicas), *(part for part, _ in gateways)]
    nursery = Nursery(spawn) if FORKS and services else None
    return Plan(
        parts=[*servers, *models, *(_from_nursery(nursery, home, common, services) if nursery else services)],
        nursery=nursery,
        environment=common,
        database_url=common["DATABASE_URL"],
        redis_url=common["REDIS_URL"],
        working_memory_redis_url=settings.working_memory_redis_url,
        embeddings_url=common.get("EMBEDDINGS_URL", ""),
        http_urls=[f"http://{_reachable(settings.host)}:{part.port}" for part, _ in gateways],
        grpc_ports=[chosen.grpc_port for _, chosen in gateways],
        grpc_host=_reachable("" if settings.grpc_host.lower() == "localhost" else settings.grpc_host),
        grpc_certificate=str(Path(settings.grpc_tls_cert_file).absolute()) if settings.grpc_tls_cert_file else "",
        postgres_data=postgres_data,
    )


def _settings(environment: Mapping[str, str]) -> Settings:
    try:
        return load(environment)
    except SettingsError as error:
        raise StackError(str(error), hint="correct it in the environment or in .env") from error


def _servers(home: Home, environment: Mapping[str, str], before: StackState | None) -> tuple[list[Part], dict[str, str], str]:
    ports = {process.name: process.port for process in before.processes} if before else {}
    parts: list[Part] = []
    urls = {name: environment[name] for name in ("DATABASE_URL", "REDIS_URL") if environment.get(name, "").strip()}
    data = ""
    if "DATABASE_URL" not in urls:
        postgres = prepare_postgres(home, free_port(ports.get("postgres", 0)))
        urls["DATABASE_URL"] = postgres.url
        data = str(postgres.data)
        launch = postgres_launch(postgres, environment)
        parts.append(
            Part(name="postgres", role="server", launch=launch, port=postgres.port, ready=lambda: postgres_is_ready(postgres))
        )
    if "REDIS_URL" not in urls:
        redis = prepare_redis(home, free_port(ports.get("redis", 0)))
        urls["REDIS_URL"] = redis.url
        launch = redis_launch(redis, environment)
        parts.append(Part(name="redis", role="server", launch=launch, port=redis.port, ready=lambda: redis_is_ready(redis)))
    return parts, urls, data


def _needs_local_model(settings: Settings) -> bool:
    if settings.embeddings_url:
        return False
    return settings.embedding_model == "local" or (settings.embedding_model == "" and settings.openai_api_key == "")


def _model(home: Home, environment: Mapping[str, str], socket: Path) -> Part:
    return _python_part(
        home, EMBEDDINGS, EMBEDDINGS.name, "model", environment, health=f"unix:{socket}", arguments=("--socket", str(socket))
    )


def _socket_path(home: Home) -> Path:
    inside = home.path / "embeddings.sock"
    if len(str(inside)) <= _SOCKET_PATH_LIMIT:
        return inside
    # The kernel takes about 108 characters; a deep home gets its socket in a private folder of the temporary one.
    folder = Path(tempfile.gettempdir()) / f"agent-memory-{os.getuid()}-{hashlib.sha256(str(home.path).encode()).hexdigest()[:12]}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise StackError(f"{folder} belongs to another user", hint="choose a shorter AGENT_MEMORY_HOME")
    except OSError as error:
        raise folder_error(folder, error) from error
    return folder / "embeddings.sock"


def _background(home: Home, environment: Mapping[str, str], replicas: Mapping[str, int]) -> list[Part]:
    named = [(service, name) for service in installed(BACKGROUND) for name in _names(service, replicas.get(service.name, 1))]
    ports = free_ports(len(named))
    return [_replica(home, environment, service, name, port) for (service, name), port in zip(named, ports, strict=True)]


def _replica(home: Home, environment: Mapping[str, str], service: ServiceSpec, name: str, port: int) -> Part:
    given = {**environment, "HOST": LOOPBACK, "METRICS_PORT": str(port)}
    return _python_part(home, service, name, "service", given, port=port, health=f"http://{LOOPBACK}:{port}/health")


def further(plan: Plan, home: Home, service: str, taken: Collection[str]) -> Part:
    """One more replica of a background service, under the first name that is not taken. Raises StackError for an unknown one."""
    spec = next((one for one in installed(BACKGROUND) if one.name == service), None)
    if spec is None:
        raise StackError(f"{service} is no background service", hint=f"known: {', '.join(one.name for one in BACKGROUND)}")
    name = next(name for name in _names(spec, len(taken) + 1) if name not in taken)
    part = _replica(home, plan.environment, spec, name, free_port())
    return _forked(plan.nursery, part) if plan.nursery else part


def _gateways(home: Home, settings: Settings, environment: Mapping[str, str], count: int) -> list[tuple[Part, Settings]]:
    """The first gateway has the ports that were asked for, which must be free; further ones have any."""
    found: list[tuple[Part, Settings]] = []
    for number, name in enumerate(_names(GATEWAY, count) if installed([GATEWAY]) else []):
        wanted = {"PORT": settings.port, "GRPC_PORT": settings.grpc_port}
        if not settings.grpc_enabled:
            del wanted["GRPC_PORT"]
        if number:
            wanted = dict.fromkeys(wanted, 0)
        for variable, port in wanted.items():
            if port:
                require_free(port, variable, settings.grpc_host if variable == "GRPC_PORT" else settings.host)
        spare = free_ports(len(wanted))
        ports = {variable: port or other for (variable, port), other in zip(wanted.items(), spare, strict=True)}
        chosen = msgspec.structs.replace(settings, port=ports["PORT"], grpc_port=ports.get("GRPC_PORT", 0), metrics_port=0)
        health = f"http://{_reachable(settings.host)}:{chosen.port}/ready"
        given = {**environment, **{variable: str(port) for variable, port in ports.items()}}
        grace = STOP_SECONDS + settings.drain_seconds
        part = _python_part(home, GATEWAY, name, "gateway", given, port=chosen.port, health=health, grace_seconds=grace)
        found.append((part, chosen))
    return found


def _python_part(
    home: Home,
    service: ServiceSpec,
    name: str,
    role: Role,
    environment: Mapping[str, str],
    *,
    health: str,
    port: int = 0,
    arguments: Sequence[str] = (),
    grace_seconds: float = STOP_SECONDS,
) -> Part:
    launch = Launch(
        argv=(sys.executable, "-m", service.module, *arguments),
        environment=environment,
        log=home.logs / f"{name}.log",
        folder=home.path,
        nice=service.nice,
        grace_seconds=grace_seconds,
    )
    return Part(name=name, role=role, launch=launch, port=port, health=health, ready=lambda: is_healthy(health))


def _from_nursery(nursery: Nursery, home: Home, environment: Mapping[str, str], services: Sequence[Part]) -> list[Part]:
    """The same services, forked from the nursery, and the nursery itself."""
    modules = dict.fromkeys(part.launch.argv[2] for part in services)
    launch = Launch(
        argv=(sys.executable, "-m", "agent_memory.embedded.nursery_process", *modules, *LOADED_LATE),
        environment=environment,
        log=home.logs / "nursery.log",
        folder=home.path,
    )
    own = Part(name="nursery", role="nursery", launch=launch, ready=nursery.is_ready, spawn=nursery.open)
    return [own, *(_forked(nursery, part) for part in services)]


def _forked(nursery: Nursery, part: Part) -> Part:
    return msgspec.structs.replace(part, spawn=nursery.hatch, can_start=nursery.is_ready)


def _names(service: ServiceSpec, count: int) -> list[str]:
    return [service.name if number == 1 else f"{service.name}-{number}" for number in range(1, count + 1)]


def _reachable(host: str) -> str:
    """Where this machine reaches what listens there, as it stands in a URL."""
    if host in ("", "0.0.0.0", "::"):
        return LOOPBACK
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
