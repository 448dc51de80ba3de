"""What is measured: a whole stack in a home of its own, with a stub in the place of a model provider where one is asked for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgspec
from redis import Redis

from agent_memory.embedded.processes import as_user
from agent_memory.embedded.supervisor import Stack
from agent_memory.readmodels import due
from agent_memory.readmodels.enrichment import LACKING
from bench import processes
from support.servers import stack_environment, temporary_home

TESTS = Path(__file__).parents[1]
LOOK_SECONDS = 0.1


class _Lag(msgspec.Struct):
    projection: str
    lag: int


class _Status(msgspec.Struct):
    projections: list[_Lag]


class Site:
    """Something that answers HTTP on this machine. `pids` names its processes; `memory` is filled after each configuration.

    `completions`: a model is there, which is asked about every memory that lacks topics or entities. `contents`: what is written
    about nodes of the table of contents is waited for, too. `grpc_port`: where it answers gRPC, if it is not a stack.
    """

    def __init__(
        self,
        url: str,
        pids: Callable[[], Mapping[str, int]],
        stack: Stack | None = None,
        *,
        completions: bool = False,
        contents: bool = False,
        grpc_port: int = 0,
    ) -> None:
        where = urlsplit(url)
        self.url, self.host, self.port = url, where.hostname or "127.0.0.1", where.port or 80
        self.pids = pids
        self.stack = stack
        self.completions = completions
        self.contents = contents
        self.grpc_port = grpc_port or (stack.grpc_port if stack else 0)

    def cpu(self) -> dict[str, float]:
        """Processor seconds so far, by process."""
        pids = self.pids()
        return {name: processes.cpu_seconds(pid, pids.values()) for name, pid in pids.items()}

    def memory(self) -> dict[str, processes.Memory]:
        """By process."""
        pids = self.pids()
        return {name: processes.memory(pid, pids.values()) for name, pid in pids.items()}

    def lag(self) -> dict[str, int]:
        """Events that each projection is behind; those that are not are left out."""
        if self.stack is None:
            return {}
        with urlopen(f"{self.stack.http_urls[0]}/v1/status", timeout=30) as answer:
            status = msgspec.json.decode(answer.read(), type=_Status)
        return {one.projection: one.lag for one in status.projections if one.lag}

    def unread(self) -> int:
        """Memories that a model is still to be asked about."""
        if self.stack is None or not self.completions:
            return 0
        with Redis.from_url(self.stack.redis_url) as redis:
            return int(redis.hlen(LACKING))

    def unwritten(self) -> int:
        """Nodes of the table of contents that are still to be written about."""
        if self.stack is None or not self.contents:
            return 0
        with Redis.from_url(self.stack.redis_url) as redis:
            return int(redis.zcard(due.AT))

    def drained(self, timeout_seconds: float) -> bool:
        """Waits until no projection is behind, no memory unread and no node unwritten. Whether that came about in time."""
        deadline = time.monotonic() + timeout_seconds
        while self.lag() or self.unread() or self.unwritten():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True


@contextmanager
def python_process(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """A Python program of the tests, which ends with the block, or with whoever started it."""
    given = {**(os.environ if environment is None else environment), "PYTHONPATH": str(TESTS)}
    argv = as_user([sys.executable, *arguments], user=None)
    process = subprocess.Popen(argv, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def stub_provider(dimensions: int, reply: str = "") -> Iterator[tuple[str, int]]:
    """An OpenAI-compatible provider: its base URL and its process id. `reply` is what every completion says."""
    given = ("--port", "0", "--dimensions", str(dimensions), "--reply", reply)
    with python_process("-m", "support.stub_model", *given) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1", process.pid


def stub_settings(url: str, dimensions: int) -> dict[str, str]:
    """Settings under which a stack asks that provider."""
    return {"EMBEDDINGS_URL": url, "EMBEDDING_MODEL": "text-embedding-3-small", "REDISVL_VECTOR_DIMENSIONS": str(dimensions)}


@contextmanager
def stack_site(stub_dimensions: int = 0, *, reply: str = "", contents: bool = False, **given: str) -> Iterator[Site]:
    """A whole stack: one of each service. Without a stub it has its default, the local model.

    With a `reply` the stub is asked for completions as well. `contents` as of the site; `given` are further settings.
    """
    with ExitStack() as opened:
        settings: dict[str, str] = {}
        others: dict[str, int] = {}
        if stub_dimensions:
            url, others["(stub provider)"] = opened.enter_context(stub_provider(stub_dimensions, reply))
            settings = stub_settings(url, stub_dimensions) | ({"OPENAI_API_BASE": url} if reply else {})
        home = opened.enter_context(temporary_home())
        stack = Stack(home, environment=stack_environment(**settings, **given))
        # Not stopped by its own block: a start that fails has stopped everything already.
        stack.start()
        opened.callback(stack.stop)
        yield Site(stack.http_urls[0], lambda: {**stack.pids(), **others}, stack, completions=bool(reply), contents=contents)
