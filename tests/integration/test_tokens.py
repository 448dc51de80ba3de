"""Tokens in Postgres: kept, found, taken away, and seen so by every gateway."""

from contextlib import AsyncExitStack

import psycopg
import pytest

from agent_memory.auth.principal import disabled
from agent_memory.contracts.errors import Conflict, Unauthorized, Unavailable
from agent_memory.eventlog import secrets
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.tokens import StoredToken, TokenStore
from agent_memory.gateway.app import authentication
from agent_memory.gateway.auth_tokens import FRESH_SECONDS, TokenAuthentication
from agent_memory.gateway.settings import AuthSettings
from agent_memory.runtime.settings import Settings, SettingsError

SECRET = secrets.new_token()
TOKEN = StoredToken(
    id=secrets.lookup_id(SECRET),
    hash=secrets.hashed(SECRET),
    description="Grüße 👋",
    scopes=["write"],
    tenant="acme",
    namespaces=["work", "home"],
    user_id="anna",
    created_ms=5,
    expires_ms=2**53,
)
HEADERS = {b"authorization": b"bearer " + SECRET.encode()}


@pytest.fixture
async def connections(database_url):
    connections = Connections(database_url)
    yield connections
    await connections.close()


@pytest.fixture
def store(connections):
    return TokenStore(connections)


async def test_a_token_comes_back_as_it_was_kept(store):
    plain = StoredToken(id="~x", hash="h", description="", scopes=[], created_ms=1)
    await store.add(TOKEN)
    await store.add(plain)
    assert await store.find(TOKEN.id) == TOKEN
    assert await store.all() == [plain, TOKEN]
    assert await store.find("nobody") is None


async def test_one_lookup_id_is_one_token(store):
    await store.add(TOKEN)
    with pytest.raises(Conflict):
        await store.add(TOKEN)
    assert await store.remove(TOKEN.id)
    assert not await store.remove(TOKEN.id)
    await store.add(TOKEN)


async def test_a_token_that_is_removed_is_refused_by_every_gateway_after_seconds(database_url, store):
    elapsed = [0.0]
    gateways = [Connections(database_url), Connections(database_url)]
    doors = [TokenAuthentication(TokenStore(one), elapsed=lambda: elapsed[0]) for one in gateways]
    await store.add(TOKEN)
    for door in doors:
        assert (await door(HEADERS)).tenant == "acme"
    await store.remove(TOKEN.id)
    elapsed[0] += FRESH_SECONDS
    for door in doors:
        with pytest.raises(Unauthorized, match="Invalid token"):
            await door(HEADERS)
    for one in gateways:
        await one.close()


async def test_finding_a_token_is_one_read_by_its_key(store, connections):
    await store.add(TOKEN)
    async with connections.connection() as connection:
        await connection.execute("SET enable_seqscan = off")
        rows = await (await connection.execute("EXPLAIN SELECT hash FROM tokens WHERE id = %s", (TOKEN.id,))).fetchall()
    assert "tokens_pkey" in rows[0][0]


async def test_a_database_without_tokens_is_named_at_the_start(database_url, store):
    await store.ready()
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as admin:
        await admin.execute("DROP TABLE tokens")
    with pytest.raises(Unavailable, match="no table of tokens"):
        await store.ready()


async def test_without_a_store_nothing_starts(database_url):
    there, away = Settings(database_url=database_url), Settings(database_url="postgresql://127.0.0.1:1/nowhere")
    mode = AuthSettings(auth_mode="token")
    async with AsyncExitStack() as stack:
        assert isinstance(await authentication(there, mode, stack), TokenAuthentication)
        with pytest.raises(SettingsError, match="AUTH_MODE=token cannot be used: the token store cannot be reached"):
            await authentication(away, mode, stack)


async def test_a_mode_is_the_one_that_was_asked_for():
    issuer = AuthSettings(auth_mode="oauth2", oauth2_issuer_url="https://issuer.example", oauth2_audience="api")
    async with AsyncExitStack() as stack:
        assert type(await authentication(Settings(), issuer, stack)).__name__ == "OAuth2Authentication"
        assert await authentication(Settings(), AuthSettings(), stack) is disabled


async def test_a_store_that_is_away_says_so():
    with pytest.raises(Unavailable, match="the token store cannot be reached"):
        await TokenStore(Connections("postgresql://127.0.0.1:1/nowhere")).ready()


async def test_a_connection_that_died_while_idle_is_not_taken_for_an_outage(database_url, store):
    await store.add(TOKEN)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await store.find(TOKEN.id) == TOKEN
