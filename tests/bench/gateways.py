"""Two gateways beside each other over one stack: one that lets everybody in, one that asks for tokens."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from agent_memory.embedded.ports import free_port
from agent_memory.embedded.services import GATEWAY
from agent_memory.eventlog import secrets
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.tokens import StoredToken, TokenStore
from bench import searches, writes
from bench.figures import Run
from bench.plan import Turn
from bench.sites import LOOK_SECONDS, Site, python_process

Mode = Literal["open", "token"]
MODES: tuple[Mode, ...] = ("open", "token")
START_SECONDS = 30.0


class Gateways(msgspec.Struct, frozen=True, kw_only=True):
    """By what they ask for, and a token for the one that asks. Neither is the stack's own, so that they are alike."""

    sites: dict[Mode, Site]
    tokens: dict[Mode, str]


@contextmanager
def open_and_token(stack_site: Callable[[], AbstractContextManager[Site]]) -> Iterator[Gateways]:
    """Both, over a stack that is opened for them."""
    with ExitStack() as opened:
        site = opened.enter_context(stack_site())
        assert site.stack is not None
        sites: dict[Mode, Site] = {
            "open": opened.enter_context(gateway(site.stack.environment, site, AUTH_MODE="disabled")),
            "token": opened.enter_context(gateway(site.stack.environment, site, AUTH_MODE="token")),
        }
        yield Gateways(sites=sites, tokens={"open": "", "token": _new_token(site)})


def corpus(gateways: Gateways, turn: Turn, *, count: int) -> None:
    """The memories that are searched, through either."""
    searches.corpus(gateways.sites["open"], turn, count=count)


def get(gateways: Gateways, turn: Turn, *, count: int, mode: Mode) -> Run:
    """GETs by one client."""
    return writes.get(gateways.sites[mode], turn, count=count, clients=1, token=gateways.tokens[mode])


def search(gateways: Gateways, turn: Turn, *, count: int, mode: Mode) -> Run:
    """Semantic searches by one client."""
    return searches.search(gateways.sites[mode], turn, count=count, clients=1, mode="semantic", token=gateways.tokens[mode])


@contextmanager
def gateway(environment: Mapping[str, str], beside: Site | None = None, **given: str) -> Iterator[Site]:
    """One more gateway over the servers of an environment, and `beside` what else uses them."""
    port, grpc_port = free_port(), free_port()
    own = {"PORT": str(port), "GRPC_PORT": str(grpc_port), "HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}
    with python_process("-m", GATEWAY.module, environment={**environment, **own, **given}) as process:
        url = f"http://127.0.0.1:{port}"
        _await_ready(url)
        if beside is None:
            yield Site(url, lambda: {"gateway": process.pid}, grpc_port=grpc_port)
        else:
            pids, named = beside.pids, {"(other gateway)": process.pid}
            yield Site(url, lambda: {**pids(), **named}, beside.stack, completions=beside.completions, grpc_port=grpc_port)


def _await_ready(url: str) -> None:
    """Raises the last error when it does not answer in time."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urlopen(f"{url}/v1/health", timeout=5):
                return
        except URLError:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK_SECONDS)


def _new_token(site: Site) -> str:
    """A token for all that the tenant `default` has."""
    assert site.stack is not None
    database_url, token = site.stack.database_url, secrets.new_token()

    async def add() -> None:
        connections = Connections(database_url)
        await TokenStore(connections).add(
            StoredToken(
                id=secrets.lookup_id(token),
                hash=secrets.hashed(token),
                description="bench",
                scopes=["write"],
                created_ms=time.time_ns() // 1_000_000,
            )
        )
        await connections.close()

    asyncio.run(add())
    return token
