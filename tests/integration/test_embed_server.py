"""The local model in a process of its own."""

import asyncio
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import numpy as np
import pytest

from agent_memory.runtime.embed import Embedder, create_embedder, create_query_embedder, unpacked
from agent_memory.runtime.embed_local import LocalEmbedder
from agent_memory.runtime.embed_server import main, private_socket, serve
from agent_memory.runtime.settings import Settings
from support.controls import wait_until

SERVER = [sys.executable, "-m", "agent_memory.runtime.embed_server", "--socket"]


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="am-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Path]:
    with TemporaryDirectory(prefix="am-") as name:
        path = Path(name) / "embed.sock"
        process = await asyncio.create_subprocess_exec(*SERVER, str(path), stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readuntil(b"ready")
        yield path
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert not path.exists()


def session(path: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession("http://local", connector=aiohttp.UnixConnector(str(path)))


@asynccontextmanager
async def closing(*embedders: Embedder) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for embedder in embedders:
            await embedder.close()


async def test_the_server_gives_the_vectors_of_the_model(server: Path) -> None:
    remote, local = create_embedder(Settings(embeddings_url=f"unix:{server}")), LocalEmbedder()
    texts = [f"text number {number} " * (number % 7) for number in range(100)]
    async with closing(remote, local):
        assert np.abs(unpacked(await remote.embed(texts)) - unpacked(await local.embed(texts))).max() < 1e-5
        assert (remote.model, remote.dimensions) == (local.model, local.dimensions)


async def test_queries_are_answered_while_batches_wait(server: Path) -> None:
    settings = Settings(embeddings_url=f"unix:{server}", embedding_timeout_seconds=600)
    batches, queries = create_embedder(settings), create_query_embedder(settings)
    async with closing(batches, queries):
        texts = [[f"a longer text to embed, {number} of batch {batch}" for number in range(96)] for batch in range(6)]
        work = [asyncio.create_task(batches.embed(batch)) for batch in texts]
        for number in range(3):
            await queries.embed([f"query {number}"])
        assert not all(task.done() for task in work)
        assert [len(vectors) for vectors in await asyncio.gather(*work)] == [96] * 6


class Endless(LocalEmbedder):
    """Never done; notes who was given up."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ""

    async def load(self) -> None:
        self.state = "ready"

    async def embed(self, texts: Sequence[str], *, interactive: bool = False) -> list[bytes]:
        self.state = "asked"
        try:
            return await asyncio.Future()
        finally:
            self.state = "given up"


async def test_nothing_is_computed_for_a_caller_that_hung_up(folder: Path) -> None:
    endless, stop = Endless(), asyncio.Event()
    with private_socket(folder / "embed.sock") as listening:
        serving = asyncio.create_task(serve(listening, endless, stop))
        async with session(folder / "embed.sock") as client:
            asking = asyncio.create_task(client.post("/v1/embeddings", json={"input": "a"}))
            await wait_until(lambda: endless.state == "asked", "the request has arrived")
            asking.cancel()
            await wait_until(lambda: endless.state == "given up", "the request is given up")
        stop.set()
        await serving


def test_only_its_owner_may_open_the_socket(folder: Path) -> None:
    with private_socket(folder / "embed.sock"):
        assert stat.S_IMODE((folder / "embed.sock").stat().st_mode) == 0o600


async def test_it_says_that_it_is_well(server: Path) -> None:
    async with session(server) as client, client.get("/health") as answer:
        assert await answer.json() == {"status": "ok", "model": "all-MiniLM-L6-v2", "dimensions": 384, "waiting": 0}


async def test_floats_are_given_to_those_who_want_no_base64(server: Path) -> None:
    async with session(server) as client, client.post("/v1/embeddings", json={"input": "hello world"}) as answer:
        [item] = (await answer.json())["data"]
        assert np.allclose(item["embedding"][:3], [-0.0345, 0.0310, 0.0067], atol=0.01)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"{", 400, "not an embedding request"),
        (b'{"input": 7}', 400, "input"),
        (b'{"input": []}', 400, "input"),
        (b'{"input": ["\xff"]}', 400, "not an embedding request"),
        (b'{"input": "a", "model": "gpt"}', 404, "model"),
        (b'{"input": "a", "dimensions": 5}', 400, "dimensions"),
    ],
)
async def test_what_it_cannot_do_is_named(server: Path, body: bytes, status: int, named: str) -> None:
    async with session(server) as client, client.post("/v1/embeddings", data=body) as answer:
        assert answer.status == status
        assert named in (await answer.json())["error"]["message"]


async def test_a_second_server_does_not_push_the_first_aside(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", str(server)]) == 1
    assert capsys.readouterr().err.strip() == f"embed_server: another embedding server listens on {server}"
    async with session(server) as client, client.get("/health") as answer:
        assert answer.status == 200


def test_the_socket_of_a_killed_server_is_replaced(folder: Path) -> None:
    private_socket(folder / "embed.sock").close()
    with private_socket(folder / "embed.sock"), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(folder / "embed.sock"))


def test_a_place_that_cannot_hold_a_socket_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("mine")
    for place, reason in (("file", "is not a socket"), ("no/such/folder", "No such file"), ("x" * 150, "too long")):
        assert main(["--socket", str(folder / place)]) == 1
        assert reason in capsys.readouterr().err
    assert (folder / "file").read_text() == "mine"
