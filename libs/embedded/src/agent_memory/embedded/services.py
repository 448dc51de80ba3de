"""The services of the stack, as data. Each is run as `python -m <module>`."""

from collections.abc import Sequence
from importlib.util import find_spec

import msgspec


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One service. `nice` keeps background work from slowing down those who wait for an answer."""

    name: str
    module: str
    nice: int = 10


GATEWAY = ServiceSpec(name="gateway", module="agent_memory.gateway.app", nice=0)
BACKGROUND = (
    ServiceSpec(name="ingest", module="agent_memory.ingest.app", nice=0),
    ServiceSpec(name="indexer", module="agent_memory.indexer.app"),
    ServiceSpec(name="summarizer", module="agent_memory.summarizer.app"),
    ServiceSpec(name="rollup", module="agent_memory.rollup.app"),
    ServiceSpec(name="compactor", module="agent_memory.compactor.app"),
    ServiceSpec(name="scheduler", module="agent_memory.scheduler.app"),
)
LOADED_LATE = ("anyio._backends._asyncio",)
"""What services import only once they run. Imported before the fork it is shared, and saves each of them 7 MB."""
EMBEDDINGS = ServiceSpec(name="embeddings", module="agent_memory.runtime.embed_server", nice=0)
SERVICES = (GATEWAY, *BACKGROUND)


def installed(services: Sequence[ServiceSpec] = SERVICES) -> list[ServiceSpec]:
    """Those whose package is there: services are packages of their own, and a machine may have some of them."""
    return [service for service in services if _exists(service.module)]


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
