"""Addresses, ids and credentials as people have them: what is meant is found, what can be none is refused at once."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

from agent_memory.client import InvalidRequest, MemoryClient, NotFound, Retry, SyncMemoryClient, Unauthorized
from agent_memory.client.grpc_clients import SyncTimelineClient, TimelineClient
from support.scripted import ScriptedServer, Told, scripted


def client_of(server: ScriptedServer, token: str | None = None) -> SyncMemoryClient:
    return SyncMemoryClient(server.url, token, retry=Retry(attempts=1))


@pytest.mark.parametrize("session_id", [".", "..", "...", "a/../b"])
def test_an_id_that_looks_like_a_step_to_another_place_stays_an_id(session_id: str) -> None:
    with scripted(Told(status=404, body={"detail": "none"})) as server, client_of(server) as memory:
        for ask in (memory.get_working_memory, memory.get_long_term_memory, memory.delete_working_memory):
            with pytest.raises(NotFound):
                ask(session_id)
    assert [unquote(asked.path).partition("-memory/")[2] for asked in server.asked] == [session_id] * 3


def test_an_id_that_is_empty_is_refused_before_it_names_something_else() -> None:
    with scripted(Told()) as server, client_of(server) as memory:
        for ask in (memory.get_working_memory, memory.delete_working_memory, memory.get_node, memory.pause_job):
            with pytest.raises(InvalidRequest, match="an id is empty"):
                ask("")
    assert server.asked == []


def test_ids_with_slashes_and_non_ascii_letters_stay_one_part_of_the_path() -> None:
    document = {"session_id": "a/b ł", "messages": []}
    with scripted(Told(body=document)) as server, client_of(server) as memory:
        assert memory.get_working_memory("a/b ł").session_id == "a/b ł"
    assert server.asked[0].path == "/v1/working-memory/a%2Fb%20%C5%82"


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://x", "http://", "http://a:b", "http://\0", "http://a/v1/", "http://a?b"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="not the address of a server"):
        SyncMemoryClient(url)


@pytest.mark.parametrize("client", [SyncMemoryClient, MemoryClient, SyncTimelineClient, TimelineClient])
def test_a_token_that_no_header_can_carry_is_none_and_is_not_shown(client: Callable[..., Any]) -> None:
    for token in ("secret one", "secret\none", "secret\x00", "sécret"):
        with pytest.raises(Unauthorized) as refused:
            client("http://127.0.0.1:1", token)
        assert (refused.value.status, "cret" in str(refused.value)) == (401, False)


def test_a_token_is_taken_without_what_a_file_has_around_it() -> None:
    with scripted(Told(body={"now": 1})) as server:
        for token in ("secret\r\n", " secret", " \n", ""):
            with client_of(server, token=token) as memory:
                memory.health()
    assert [asked.headers.get("authorization") for asked in server.asked] == ["Bearer secret", "Bearer secret", None, None]
