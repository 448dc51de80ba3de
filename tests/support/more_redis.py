"""One more Redis, which a test may stop and start again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agent_memory.embedded.home import held, open_home
from agent_memory.embedded.ports import free_port
from agent_memory.embedded.processes import Process, spawn, stop, until
from agent_memory.embedded.redis import prepare_redis, redis_is_ready, redis_launch
from support.servers import temporary_home


class OneMoreRedis:
    """It keeps what it holds over a stop, as a disk would."""

    def __init__(self, folder: "os.PathLike[str]") -> None:
        self._home = open_home(folder)  # type: ignore[arg-type]
        self._redis = prepare_redis(self._home, free_port())
        self._launch = redis_launch(self._redis, os.environ)
        self._process: Process | None = None
        self.url = self._redis.url

    def start(self) -> None:
        self._process = spawn(self._launch)
        assert until(lambda: redis_is_ready(self._redis), timeout_seconds=30)

    def stop(self) -> None:
        if self._process is not None:
            stop([(self._process, self._launch)])
            self._process = None


@contextmanager
def one_more_redis() -> Iterator[OneMoreRedis]:
    """Started; gone afterwards."""
    with temporary_home() as folder:
        server = OneMoreRedis(folder)
        with held(server._home):
            server.start()
            try:
                yield server
            finally:
                server.stop()
