"""What a Kubernetes service is to its clients: one address, and for each connection some replica that is ready now."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

import msgspec

from agent_memory.embedded.ports import LOOPBACK
from agent_memory.embedded.probes import is_healthy


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """`ready` is the URL that answers 200 while connections may be sent to the port."""

    ready: str
    port: int


@asynccontextmanager
async def forwarding(replicas: Sequence[Replica]) -> AsyncIterator[int]:
    """The port of a forwarder. Where no replica is ready a connection is closed at once, as by a service without endpoints."""
    turns = count()
    going: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        going.add(task)
        try:
            await _forward(replicas, next(turns), reader, writer)
        except asyncio.CancelledError:
            pass  # at the end, and asyncio would tell of it as of an error
        finally:
            going.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)


async def _forward(replicas: Sequence[Replica], turn: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for number in range(len(replicas)):
        replica = replicas[(turn + number) % len(replicas)]
        if not await asyncio.to_thread(is_healthy, replica.ready):
            continue
        with suppress(OSError):  # away since it was asked: whoever connected sees a connection that ends
            there, back = await asyncio.open_connection(LOOPBACK, replica.port)
            try:
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
            finally:
                back.close()
        return


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """One direction. Its end is passed on, so that the other side ends too."""
    try:
        while piece := await source.read(65_536):
            target.write(piece)
            await target.drain()
    finally:
        with suppress(OSError):
            if target.can_write_eof():
                target.write_eof()
