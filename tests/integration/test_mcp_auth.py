"""The MCP gateway as an OAuth 2.1 resource server in front of a gateway that asks for the same credentials."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from agent_memory.auth.jwks import IssuerKeys
from agent_memory.auth.oauth2 import OAuth2Authentication
from agent_memory.auth.principal import IMPLIED, Authenticate, Principal, bearer, disabled
from agent_memory.contracts.errors import Unauthorized
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.mcp.settings import McpSettings, check
from agent_memory.runtime import telemetry
from agent_memory.runtime.settings import Settings, SettingsError
from agent_memory.runtime.settings.auth import AuthSettings
from support.issuer import JwksServer, RsaKey, issuing, signed
from support.mcp_doors import MAKES, PATHS, Make, Transport, answering, connected, in_process

ISSUER = "https://issuer.example/"
KEY = RsaKey("one")
HTTP_MODES: tuple[Transport, ...] = ("sse", "streamable-http")
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
ACCEPT = {"accept": "application/json, text/event-stream"}
TOKENS = {
    "of-ana": Principal(subject="token:1", user_id="ana", permissions=IMPLIED["write"]),
    "of-bo": Principal(subject="token:2", user_id="bo", permissions=IMPLIED["write"]),
    "reader": Principal(subject="token:3", permissions=IMPLIED["read"]),
    "of-work": Principal(subject="token:4", namespaces=("work",), permissions=IMPLIED["write"]),
}
TOKEN_MODE = AuthSettings(auth_mode="token")


async def by_token(headers: Mapping[bytes, bytes]) -> Principal:
    found = TOKENS.get(bearer(headers))
    if found is None:
        raise Unauthorized("Invalid token")
    return found


class Memory:
    """A memory server that asks for credentials, and which it was shown."""

    def __init__(self, authenticate: Authenticate) -> None:
        self.shown: list[str] = []
        self._authenticate = authenticate

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async def authenticate(headers: Mapping[bytes, bytes]) -> Principal:
            self.shown.append(headers.get(b"authorization", b"").decode())
            return await self._authenticate(headers)

        app = create_app(Settings(), authenticate=authenticate, **MemorySystem().ports())
        async with answering(app) as url:
            yield url


class OAuth:
    """Both doors behind one issuer."""

    def __init__(self, auth: AuthSettings, memory: Memory, at: str) -> None:
        self.auth, self.memory, self.at = auth, memory, at


@asynccontextmanager
async def oauth(mode: Transport, jwks: JwksServer, **settings: Any) -> AsyncIterator[OAuth]:
    auth = AuthSettings(
        auth_mode="oauth2",
        oauth2_issuer_url=ISSUER,
        oauth2_audience="memory",
        oauth2_jwks_url=jwks.url,
        oauth2_read_scope="memory:read",
        oauth2_write_scope="memory:write",
        oauth2_namespaces_claim="",
    )
    keys = IssuerKeys(jwks.url)
    memory = Memory(OAuth2Authentication(auth, keys))
    try:
        async with memory.running() as url, in_process(mode, url, Settings(**settings), auth) as at:
            yield OAuth(auth, memory, at)
    finally:
        await keys.close()


def token(**claims: object) -> str:
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": "memory", "sub": "ana", "iat": now, "exp": now + 600, "scope": "memory:read memory:write"}
    return signed({**usual, **claims}, KEY)


@pytest.fixture
async def jwks() -> AsyncIterator[JwksServer]:
    async with issuing(KEY) as server:
        yield server


def asked(path: str, given: str = "", **headers: str) -> dict[str, Any]:
    """What httpx takes for a POST of one message."""
    shown = {"authorization": f"Bearer {given}"} if given else {}
    return {"url": path, "json": {**CALL, "method": "tools/list"}, "headers": {**ACCEPT, **shown, **headers}}


@pytest.mark.parametrize("mode", HTTP_MODES)
async def test_without_a_credential_a_client_is_told_where_to_get_one(jwks: JwksServer, mode: Transport) -> None:
    path = "/work" + PATHS[mode]
    async with oauth(mode, jwks) as system, httpx.AsyncClient(base_url=system.at) as http:
        refused = await http.get(path) if mode == "sse" else await http.post(**asked(path))
        challenge = refused.headers["www-authenticate"]
        metadata = await http.get(challenge.partition('resource_metadata="')[2].partition('"')[0])
        whole = await http.get("/.well-known/oauth-protected-resource")
    assert refused.status_code == 401
    assert challenge == (f'Bearer scope="memory:read", resource_metadata="{system.at}/.well-known/oauth-protected-resource{path}"')
    assert metadata.json() == {
        "resource": system.at + path,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["memory:read", "memory:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Agent Memory",
    }
    assert whole.json()["resource"] == system.at
    assert set(system.memory.shown) == {""}


async def test_the_url_that_clients_know_it_by_can_be_another_one(jwks: JwksServer) -> None:
    async with (
        oauth("streamable-http", jwks, mcp_resource_url="https://memory.example/") as system,
        httpx.AsyncClient(base_url=system.at) as http,
    ):
        refused = await http.post(**asked("/mcp"))
        metadata = await http.get("/.well-known/oauth-protected-resource/mcp")
    about = "https://memory.example/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{about}"' in refused.headers["www-authenticate"]
    assert metadata.json()["resource"] == "https://memory.example/mcp"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "another-service"}, "Invalid audience. Expected: memory"),
        ({"aud": None}, "Invalid audience. Expected: memory"),
        ({"iss": "https://evil.example/"}, "Invalid JWT: Invalid issuer"),
        ({"exp": 1}, "Token has expired"),
    ],
)
async def test_a_token_that_was_not_meant_for_it_goes_no_further(jwks: JwksServer, claims: dict[str, Any], why: str) -> None:
    async with oauth("streamable-http", jwks) as system, httpx.AsyncClient(base_url=system.at) as http:
        refused = await http.post(**asked("/mcp", token(**claims)))
        nonsense = await http.post(**asked("/mcp", "nonsense"))
    assert (refused.status_code, nonsense.status_code) == (401, 401)
    assert f'error="invalid_token", error_description="{why}"' in refused.headers["www-authenticate"]
    assert set(system.memory.shown) == {""}


@pytest.mark.parametrize("mode", HTTP_MODES)
@pytest.mark.parametrize("make", MAKES)
async def test_each_request_is_about_the_memory_of_whose_token_it_carries(jwks: JwksServer, make: Make, mode: Transport) -> None:
    async with oauth(mode, jwks) as system:
        where = system.at + PATHS[mode]
        async with connected(make, mode, where, token=token()) as ana, connected(make, mode, where, token=token(sub="bo")) as bo:
            for client, name in ((ana, "ana"), (bo, "bo")):
                said = [{"role": "user", "content": f"I am {name}"}]
                stored = await client.ask("set_working_memory", session_id="shared", messages=said)
                assert stored["user_id"] == name
            for client, name in ((ana, "ana"), (bo, "bo")):
                seen = await client.ask("get_working_memory", session_id="shared")
                assert [message["content"] for message in seen["messages"]] == [f"I am {name}"]
            assert "does not reach" in await bo.refused("get_working_memory", session_id="shared", user_id="ana")


async def test_a_token_that_allows_too_little_is_told_what_it_needs(jwks: JwksServer) -> None:
    reading, other = token(scope="memory:read"), token(scope="profile")
    write = {"name": "create_long_term_memories", "arguments": {"memories": [{"text": "x"}]}}
    async with oauth("streamable-http", jwks) as system, httpx.AsyncClient(base_url=system.at) as http:
        headers = {**ACCEPT, "authorization": f"Bearer {reading}"}
        refused = await http.post("/mcp", json={**CALL, "params": write}, headers=headers)
        batch = await http.post("/mcp", json=[{**CALL, "method": "tools/list"}, {**CALL, "params": write}], headers=headers)
        nothing = await http.post(**asked("/mcp", other))
        async with connected("official", "streamable-http", system.at + "/mcp", token=reading) as client:
            assert (await client.ask("get_working_memory", session_id="s"))["unsaved"] is True
    metadata = f'resource_metadata="{system.at}/.well-known/oauth-protected-resource/mcp"'
    description = 'error_description="Insufficient permissions. Required scope: memory:write"'
    assert (refused.status_code, batch.status_code, nothing.status_code) == (403, 403, 403)
    assert refused.headers["www-authenticate"] == (
        f'Bearer error="insufficient_scope", {description}, scope="memory:write", {metadata}'
    )
    assert 'scope="memory:read"' in nothing.headers["www-authenticate"]


@pytest.mark.parametrize("mode", HTTP_MODES)
@pytest.mark.parametrize("make", MAKES)
async def test_tokens_of_our_own_come_in_as_what_the_memory_server_says_they_are(make: Make, mode: Transport) -> None:
    async with Memory(by_token).running() as memory, in_process(mode, memory, auth=TOKEN_MODE) as at:
        async with connected(make, mode, at + PATHS[mode], token="of-ana") as client:
            stored = await client.ask("create_long_term_memories", memories=[{"id": "m", "text": "Ana drinks tea"}])
            assert stored["memory_ids"] == ["m"]
            assert (await client.ask("get_long_term_memory", memory_id="m"))["user_id"] == "ana"
        async with connected(make, mode, f"{at}/work{PATHS[mode]}", token="of-work") as client:
            session = await client.ask("set_working_memory", session_id="s", data={"a": 1})
            assert session["namespace"] == "work"
        async with connected(make, mode, at + PATHS[mode], token="of-bo") as client:
            assert "not found" in await client.refused("get_long_term_memory", memory_id="m")


async def test_a_place_that_a_credential_does_not_reach_is_not_entered() -> None:
    cases = {"/home/mcp": "of-work", "/work/bo/mcp": "of-ana", "/work/mcp": "of-work", "/mcp": "nobody's"}
    async with (
        Memory(by_token).running() as memory,
        in_process("streamable-http", memory, auth=TOKEN_MODE) as at,
        httpx.AsyncClient(base_url=at) as http,
    ):
        answers = {path: (await http.post(**asked(path, given))).status_code for path, given in cases.items()}
        metadata = (await http.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert answers == {"/home/mcp": 403, "/work/bo/mcp": 403, "/work/mcp": 200, "/mcp": 401}
    assert (metadata["authorization_servers"], metadata["scopes_supported"]) == ([], ["read", "write", "admin"])


async def test_a_session_belongs_to_the_credential_that_opened_it() -> None:
    message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    async with (
        Memory(by_token).running() as memory,
        in_process("sse", memory, auth=TOKEN_MODE) as at,
        httpx.AsyncClient(base_url=at, timeout=60) as http,
        http.stream("GET", "/sse", headers={"authorization": "Bearer of-ana"}) as sse,
    ):
        lines = sse.aiter_lines()
        endpoint = next(line for line in [await anext(lines), await anext(lines)] if line.startswith("data: "))[6:]
        answers = [
            (await http.post(endpoint, json=message, headers={"authorization": f"Bearer {given}"})).status_code
            for given in ("of-bo", "nobody's", "of-ana")
        ]
    assert answers == [404, 401, 202]


async def test_both_doors_must_agree_on_who_may_come_in() -> None:
    async with Memory(by_token).running() as asking, Memory(disabled).running() as open_to_all:
        with pytest.raises(SettingsError, match="AUTH_MODE=disabled here asks for none"):
            async with in_process("sse", asking):
                pass
        with pytest.raises(SettingsError, match="what a token is bound to would not hold"):
            async with in_process("sse", open_to_all, auth=TOKEN_MODE):
                pass


def refused() -> float:
    """How many requests were answered with 503, as operators see it."""
    return telemetry.REGISTRY.get_sample_value("agent_memory_mcp_requests_total", {"status": "503"}) or 0


async def test_while_the_memory_server_is_away_nobody_comes_in_with_a_credential() -> None:
    before = refused()
    async with in_process("streamable-http", "http://127.0.0.1:9", auth=TOKEN_MODE) as at, httpx.AsyncClient(base_url=at) as http:
        answer = await http.post(**asked("/mcp", "of-ana"))
        alive = await http.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (alive.status_code, refused() - before) == (200, 1)


def test_tokens_for_any_service_are_not_taken() -> None:
    auth = AuthSettings(auth_mode="oauth2", oauth2_issuer_url=ISSUER, oauth2_audience="*")
    with pytest.raises(SettingsError, match="must not be passed on"):
        check(Settings(), auth, McpSettings(mode="sse", server="http://127.0.0.1:9", token=None), {})
    check(Settings(), auth, McpSettings(mode="stdio", server="http://127.0.0.1:9", token=None), {})
