"""A bundle is whole, or it is refused, whatever became of it on its way."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from agent_memory.contracts.bundles import (
    FORMAT,
    VERSION,
    ClaimLine,
    EventLine,
    Manifest,
    Reader,
    SessionLine,
    Writer,
    is_manifest,
    lines_of,
    of_tenant,
    without_tenant,
)
from agent_memory.contracts.errors import Refused
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import memory_stream, node_stream, session_stream

NAMES = st.text(max_size=8)


def bundle(texts: list[str]) -> bytes:
    writer = Writer()
    counts = {"events": len(texts), "sessions": 1}
    made = [writer.line(Manifest(format=FORMAT, version=VERSION, counts=counts))]
    for number, text in enumerate(texts, start=1):
        data = Raw(b'{"type":"WorkingMemoryDeleted","session_id":"%d"}' % number)
        about = EventLine(
            stream="session///s", version=number, type=text, namespace=text, recorded_ms=number, data=data, metadata=Raw(b"{}")
        )
        made.append(writer.line(about))
    made.append(writer.line(SessionLine(stream="session///s", version=len(texts), alive=False)))
    made.append(writer.line(ClaimLine(memory_hash="h", memory_id="m")))
    return b"".join([*made, writer.seal()])


async def read(whole: bytes, size: int = 64) -> Reader:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    reader = Reader()
    async for line in lines_of(pieces(), reader):
        reader.line(line)
    reader.finish()
    return reader


@given(st.lists(NAMES, max_size=6), st.integers(1, 100))
async def test_it_is_read_as_it_was_written_in_pieces_of_any_size(texts: list[str], size: int) -> None:
    reader = await read(bundle(texts), size)
    assert reader.counts == {name: count for name, count in {"events": len(texts), "sessions": 1, "claims": 1}.items() if count}


@given(st.lists(NAMES, max_size=4), st.data())
async def test_a_bundle_that_was_cut_anywhere_is_refused(texts: list[str], data: st.DataObject) -> None:
    whole = bundle(texts)
    cut = data.draw(st.integers(0, len(whole) - 2))  # without its last line's end it is whole
    with pytest.raises(Refused, match="nothing was imported"):
        await read(whole[:cut])


@given(st.lists(NAMES, max_size=4), st.data())
async def test_a_bundle_of_which_any_byte_was_changed_is_refused(texts: list[str], data: st.DataObject) -> None:
    whole = bytearray(bundle(texts))
    place = data.draw(st.integers(0, len(whole) - 2))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Refused):
        await read(bytes(whole))


@given(NAMES, NAMES, NAMES, NAMES)
def test_streams_go_from_tenant_to_tenant(tenant: str, namespace: str, user_id: str, id_: str) -> None:
    for one in (tenant, namespace, user_id, id_):
        one.encode("utf-8", "surrogatepass")
    here, there = (Scope(tenant=name, namespace=namespace, user_id=user_id) for name in (tenant, "other"))
    for stream, same in (
        (session_stream(here, id_), session_stream(there, id_)),
        (node_stream(here, id_), node_stream(there, id_)),
        (memory_stream(tenant, id_ or "m"), memory_stream("other", id_ or "m")),
    ):
        assert of_tenant("other", without_tenant(stream)) == same


@pytest.mark.parametrize("name", ["job/compaction", "session", "memory/", "", "what/ever", "/session/a"])
def test_nothing_else_is_a_stream_of_a_bundle(name: str) -> None:
    with pytest.raises(ValueError, match="no stream that a bundle can hold"):
        of_tenant("t", name)


def test_a_bundle_is_known_by_its_first_line() -> None:
    assert is_manifest(bundle([]).splitlines()[0])
    assert not is_manifest(b'{"session_id": "s", "text": "hello"}')
    assert not is_manifest(bundle([]).splitlines()[0].replace(FORMAT.encode(), b"something"))
    assert not is_manifest(b"\xff\xfe")
