"""Clients of servers with an authority of their own, which ask who connects."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_memory.client import ConnectionFailed, MemoryClient, Retry, SyncMemoryClient
from agent_memory.client.grpc_clients import SyncTimelineClient, TimelineClient
from support.scripted import Told, scripted
from support.small_timeline import small_timeline

Files = tuple[str, str]
ONCE = Retry(attempts=1)


def content(file: str) -> bytes:
    return Path(file).read_bytes()


async def test_a_certificate_is_shown_over_http(certificate: Files) -> None:
    chain, key = certificate
    asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=chain)
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_cert_chain(chain, key)
    trusting = ssl.create_default_context(cafile=chain)
    known = ssl.create_default_context(cafile=chain)
    known.load_cert_chain(chain, key)
    with scripted(Told(body={"now": 1})) as server:
        server.socket = asking.wrap_socket(server.socket, server_side=True)
        address = server.url.replace("http://127.0.0.1", "https://localhost")
        async with MemoryClient(address, tls=known, retry=ONCE) as memory:
            await memory.health()
            await memory.acting("another").health()
        with SyncMemoryClient(address, tls=known, retry=ONCE) as blocking:
            blocking.health()
        for stranger in (trusting, None):
            with SyncMemoryClient(address, tls=stranger, retry=ONCE) as nobody, pytest.raises(ConnectionFailed):
                nobody.health()
    assert len(server.asked) == 3


async def test_a_certificate_is_shown_over_grpc(certificate: Files) -> None:
    chain, key = map(content, certificate)
    known = {"root_certificates": chain, "private_key": key, "certificate_chain": chain}
    with small_timeline(tls=(key, chain), known=chain) as service:
        async with await TimelineClient.connect(service.endpoint, **known) as timeline:
            assert await timeline.get_toc_root() == []
        with SyncTimelineClient.connect(service.endpoint, **known) as blocking:
            assert blocking.get_toc_root() == []
        with pytest.raises(ConnectionFailed):
            SyncTimelineClient.connect(service.endpoint, root_certificates=chain, connect_timeout=0.5)


@pytest.mark.parametrize("client", [TimelineClient, SyncTimelineClient])
@pytest.mark.parametrize("half", [{"private_key": b"k"}, {"certificate_chain": b"c"}])
def test_a_key_without_its_certificate_is_refused(client: Callable[..., Any], half: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="go together"):
        client("https://localhost:1", **half)
