"""Postgres and Redis alone, without services and without supervision: what tests and short programs need."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.home import held, open_home
from agent_memory.embedded.ports import free_port
from agent_memory.embedded.postgres import postgres_is_ready, postgres_launch, prepare_postgres
from agent_memory.embedded.processes import Launch, spawn, stop, until
from agent_memory.embedded.redis import prepare_redis, redis_is_ready, redis_launch


class ServerUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where the two servers answer. `admin_url` leads to a database from which others are created, `database_url` to the log's."""

    admin_url: str
    database_url: str
    redis_url: str


@contextmanager
def running_servers(folder: Path, environment: Mapping[str, str]) -> Iterator[ServerUrls]:
    """Both servers, for the time of the block. Their data stays in the folder. Raises StackError when one does not come up."""
    home = open_home(folder)
    with held(home):
        postgres = prepare_postgres(home, free_port())
        redis = prepare_redis(home, free_port())
        launches = [postgres_launch(postgres, environment), redis_launch(redis, environment)]
        processes = [(spawn(launch), launch) for launch in launches]
        try:
            _await(lambda: postgres_is_ready(postgres), launches[0])
            _await(lambda: redis_is_ready(redis), launches[1])
            yield ServerUrls(admin_url=postgres.admin_url, database_url=postgres.url, redis_url=redis.url)
        finally:
            stop(processes)


def _await(ready: Callable[[], bool], launch: Launch) -> None:
    if not until(ready, timeout_seconds=30):
        raise StackError(f"{launch.argv[0]} did not come up in 30 s", hint=f"its log is {launch.log}")
