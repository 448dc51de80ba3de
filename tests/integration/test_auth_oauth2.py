"""OAuth2 against an issuer on this machine whose JWKS server rotates its keys, stalls and dies."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.auth import jwks
from agent_memory.auth.jwks import AGAIN_SECONDS, COOL_DOWN_SECONDS, FRESH_SECONDS, KEPT_SECONDS, IssuerKeys, fetched
from agent_memory.auth.oauth2 import REMEMBERED_SECONDS, OAuth2Authentication
from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import MemoryFault, Unauthorized, Unavailable
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.settings import AuthSettings
from agent_memory.runtime.settings import Settings
from support.controls import wait_until
from support.issuer import JwksServer, RsaKey, issuing, signed
from support.token_shapes import NOW, SHAPES

ISSUER = "https://issuer.example/"
ONE, TWO = RsaKey("one"), RsaKey("two")


def token(key: RsaKey = ONE, **claims: object) -> str:
    now = int(time.time())
    return signed({"iss": ISSUER, "aud": "api", "sub": "anna", "iat": now, "exp": now + 600, **claims}, key)


class Door:
    """Authentication with clocks that a test moves, and the server that it fetches keys from."""

    def __init__(self, server: JwksServer, **more: str) -> None:
        self.server = server
        self.ahead = 0.0
        self.settings = AuthSettings(
            auth_mode="oauth2", oauth2_issuer_url=ISSUER, oauth2_audience="api", oauth2_jwks_url=server.url, **more
        )  # type: ignore[arg-type]
        fetch = functools.partial(fetched, seconds=0.2)
        self.keys = IssuerKeys(server.url, fetch=fetch, elapsed=lambda: time.monotonic() + self.ahead)
        self.authenticate = OAuth2Authentication(self.settings, self.keys, now=lambda: time.time() + self.ahead)

    async def opened(self, given: str) -> Principal:
        return await self.authenticate({b"authorization": f"Bearer {given}".encode()})

    async def refused(self, given: str) -> str:
        with pytest.raises(MemoryFault) as refusal:
            await self.opened(given)
        return refusal.value.detail


@pytest.fixture
async def server() -> AsyncIterator[JwksServer]:
    async with issuing(ONE) as server:
        yield server


@pytest.fixture
async def door(server: JwksServer) -> AsyncIterator[Door]:
    door = Door(server)
    yield door
    await door.keys.close()


async def test_keys_are_fetched_once_for_all_who_come_at_once(door: Door, server: JwksServer) -> None:
    found = await asyncio.gather(*(door.opened(token(jti=str(number))) for number in range(30)))
    assert {principal.user_id for principal in found} == {"anna"}
    assert server.asked == 1


async def test_a_token_of_a_new_key_is_accepted_at_once(door: Door, server: JwksServer) -> None:
    await door.opened(token())
    server.keys = [ONE.jwk(), TWO.jwk()]
    door.ahead += COOL_DOWN_SECONDS
    assert (await door.opened(token(TWO))).user_id == "anna"
    assert server.asked == 2


async def test_keys_that_nobody_knows_are_asked_for_once_in_a_while(door: Door, server: JwksServer) -> None:
    await door.opened(token())
    door.ahead += COOL_DOWN_SECONDS
    strangers = [RsaKey(f"stranger-{number}") for number in range(3)]
    for stranger in strangers * 5:
        assert await door.refused(token(stranger)) == f"Unable to find matching public key for kid: {stranger.kid}"
    assert server.asked == 2
    door.ahead += COOL_DOWN_SECONDS
    await door.refused(token(strangers[0]))
    assert server.asked == 3


async def test_a_key_that_was_withdrawn_counts_no_more_once_that_is_known(door: Door, server: JwksServer) -> None:
    given = token()
    await door.opened(given)
    server.keys = [TWO.jwk()]
    door.ahead += COOL_DOWN_SECONDS
    await door.opened(token(TWO))
    assert await door.refused(given) == "Unable to find matching public key for kid: one"


async def test_keys_that_have_aged_are_renewed_while_the_old_ones_go_on(door: Door, server: JwksServer) -> None:
    await door.opened(token())
    server.mode = "stalls"
    door.ahead += FRESH_SECONDS
    for number in range(5):
        await door.opened(token(exp=int(time.time() + door.ahead) + 60, jti=str(number)))

    async def tried() -> bool:
        return server.asked == 2

    await wait_until(tried, "the keys were asked for again, once")
    server.mode, server.keys = "well", [TWO.jwk()]
    door.ahead += COOL_DOWN_SECONDS
    await wait_until(functools.partial(_accepts, door, TWO), "the new key is known")


async def _accepts(door: Door, key: RsaKey) -> bool:
    try:
        await door.opened(token(key, exp=int(time.time() + door.ahead) + 60))
    except MemoryFault:
        door.ahead += COOL_DOWN_SECONDS
        return False
    return True


@pytest.mark.parametrize("mode", ["stalls", "trickles", "fails", "nonsense", "redirects", "huge", "dies"])
async def test_keys_are_kept_while_the_issuer_is_down(door: Door, server: JwksServer, mode: str) -> None:
    await door.opened(token())
    if mode == "dies":
        await server.die()
    server.mode = mode
    for age in (FRESH_SECONDS, KEPT_SECONDS - FRESH_SECONDS - 100):
        door.ahead += age
        await door.opened(token(exp=int(time.time() + door.ahead) + 60))
    stranger = await door.refused(token(TWO, exp=int(time.time() + door.ahead) + 60))
    assert stranger.startswith(f"Unable to fetch JWKS from {server.url}: ")
    door.ahead += 100
    assert (await door.refused(token(exp=int(time.time() + door.ahead) + 60))).startswith("Unable to fetch JWKS")
    if mode == "dies":
        await server.start()
    server.mode = "well"
    door.ahead += AGAIN_SECONDS
    await door.opened(token(exp=int(time.time() + door.ahead) + 60))


@pytest.mark.parametrize("mode", ["stalls", "trickles", "fails", "nonsense", "redirects", "huge"])
async def test_without_any_keys_nobody_comes_in(door: Door, server: JwksServer, mode: str) -> None:
    server.mode = mode
    for _ in range(5):
        with pytest.raises(Unavailable, match="Unable to fetch JWKS"):
            await door.opened(token())
    assert server.asked <= 2
    server.mode = "well"
    door.ahead += AGAIN_SECONDS
    await door.opened(token())


async def test_an_issuer_that_takes_its_keys_away_by_mistake_locks_nobody_out(door: Door, server: JwksServer) -> None:
    await door.opened(token())
    server.keys = []
    door.ahead += COOL_DOWN_SECONDS
    assert (await door.refused(token(TWO))).startswith("Unable to fetch JWKS")
    assert (await door.opened(token(jti="another"))).user_id == "anna"


async def test_a_fetch_that_somebody_gave_up_waiting_for_goes_on_for_others(door: Door, server: JwksServer) -> None:
    first = asyncio.ensure_future(door.opened(token(jti="first")))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(door.opened(token(jti="second")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user_id == "anna"
    assert server.asked == 1


async def test_a_token_that_was_checked_is_remembered_until_it_ends(door: Door) -> None:
    given = token(exp=int(time.time()) + 30)
    await door.opened(given)
    door.ahead += 29
    await door.opened(given)
    door.ahead += 2
    assert await door.refused(given) == "Token has expired"


async def test_a_token_is_checked_again_after_a_minute(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    given = token()
    await door.opened(given)
    monkeypatch.setattr("agent_memory.auth.oauth2.principal_of", _refuses)
    await door.opened(given)
    door.ahead += REMEMBERED_SECONDS + 1
    assert await door.refused(given) == "asked again"


def _refuses(*_: object) -> Principal:
    raise Unauthorized("asked again")


async def test_what_nobody_expected_of_the_keys_tells_nothing(server: JwksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(document: bytes) -> object:
        raise KeyError("inside")

    monkeypatch.setattr(jwks, "read_keys", broken)
    assert await Door(server).refused(token()) == "Internal server error while fetching JWKS"


@pytest.mark.parametrize(("claims", "given", "user_id"), SHAPES)
async def test_a_token_of_each_great_issuer_is_verified_with_keys_from_its_server(
    server: JwksServer, claims: dict[str, Any], given: AuthSettings, user_id: str | None
) -> None:
    authenticate = OAuth2Authentication(given, IssuerKeys(server.url), now=lambda: NOW)

    async def opened(signed_token: str) -> Principal:
        return await authenticate({b"authorization": f"Bearer {signed_token}".encode()})

    assert (await opened(signed(claims, ONE, x5t="abc", nonce="n"))).user_id == user_id
    for forged in (signed(claims, TWO, kid="one"), signed({**claims, "iss": ISSUER}, ONE), signed({**claims, "exp": NOW}, ONE)):
        with pytest.raises(Unauthorized):
            await opened(forged)


async def test_over_http_a_signed_token_opens_the_door_and_its_user_is_the_only_one(door: Door, server: JwksServer) -> None:
    system = MemorySystem()
    app = create_app(Settings(), authenticate=door.authenticate, **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as client:
        headers = {"Authorization": f"Bearer {token()}"}
        body = {"messages": [{"role": "user", "content": "hello"}]}
        assert (await client.put("/v1/working-memory/s", json=body, headers=headers)).status_code == 200
        assert (await client.put("/v1/working-memory/s", json={**body, "user_id": "ben"}, headers=headers)).status_code == 403
        refused = await client.get("/v1/working-memory/s", headers={"Authorization": f"Bearer {token(exp=5)}"})
        assert (refused.status_code, refused.json()) == (401, {"detail": "Token has expired", "status_code": 401})
        assert refused.headers["www-authenticate"] == "Bearer"
        await server.die()
        door.ahead += COOL_DOWN_SECONDS
        unknown = await client.get("/v1/working-memory/s", headers={"Authorization": f"Bearer {token(TWO)}"})
        assert (unknown.status_code, unknown.json()["detail"].split(":")[0]) == (503, "Unable to fetch JWKS from http")
        await server.start()
    assert system.sent[0][0].user_id == "anna"
