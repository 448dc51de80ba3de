"""Tokens: looked up once, proven once, forgotten in time."""

import asyncio
import threading

import pytest

from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import Unauthorized, Unavailable
from agent_memory.eventlog import secrets
from agent_memory.eventlog.tokens import StoredToken
from agent_memory.gateway import auth_tokens
from agent_memory.gateway.auth_tokens import FRESH_SECONDS, TokenAuthentication, principal_of

SECRET, OTHER = secrets.new_token(), secrets.new_token()
HASH = secrets.hashed(SECRET)


def stored(**about: object) -> StoredToken:
    return StoredToken(
        **{"id": secrets.lookup_id(SECRET), "hash": HASH, "description": "", "scopes": ["write"], "created_ms": 0, **about}
    )  # type: ignore[arg-type]


class Store:
    """Tokens by id, and how often they were asked for."""

    def __init__(self, *tokens: StoredToken) -> None:
        self.tokens = {token.id: token for token in tokens}
        self.reads = 0
        self.away = False

    async def find(self, token_id: str) -> StoredToken | None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("the token store cannot be reached")
        return self.tokens.get(token_id)


class Door:
    """Authentication with clocks that a test sets."""

    def __init__(self, store: Store) -> None:
        self.now, self.elapsed = 1_000.0, 0.0
        self.authenticate = TokenAuthentication(store, now=lambda: self.now, elapsed=lambda: self.elapsed)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.elapsed += seconds

    async def opened(self, token: str = SECRET) -> Principal:
        return await self.authenticate({b"authorization": b"Bearer " + token.encode()})

    async def refused(self, token: str = SECRET) -> str:
        with pytest.raises(Unauthorized) as refusal:
            await self.opened(token)
        return refusal.value.detail


async def test_a_token_is_worth_what_is_stored() -> None:
    token = stored(tenant="acme", namespaces=["work", "home"], user_id="anna", scopes=["read"])
    assert await Door(Store(token)).opened() == Principal(
        subject=f"token:{token.id}", tenant="acme", namespaces=("work", "home"), user_id="anna", permissions=frozenset({"read"})
    )


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [([], set()), (["read"], {"read"}), (["write"], {"read", "write"}), (["admin"], {"read", "write", "admin"}), (["root"], set())],
)
def test_a_scope_includes_what_is_less(scopes: list[str], allowed: set[str]) -> None:
    assert principal_of(stored(scopes=scopes)).permissions == allowed


async def test_a_token_that_is_used_all_the_time_is_read_every_few_seconds_and_proven_once(monkeypatch: pytest.MonkeyPatch) -> None:
    proven: list[threading.Thread] = []

    def noting(token: str, hash_: str) -> bool:
        proven.append(threading.current_thread())
        return secrets.matches(token, hash_)

    monkeypatch.setattr(auth_tokens, "matches", noting)
    store = Store(stored())
    door = Door(store)
    for _ in range(10):
        await asyncio.gather(*(door.opened() for _ in range(20)))
        door.later(FRESH_SECONDS / 2)
    assert store.reads == 5
    assert len(proven) == 1
    assert proven[0] is not threading.current_thread()


async def test_many_at_once_ask_once() -> None:
    store = Store(stored())
    door = Door(store)
    await asyncio.gather(*(door.opened() for _ in range(50)))
    assert store.reads == 1


async def test_a_caller_that_hangs_up_takes_nobody_with_it() -> None:
    door = Door(Store(stored()))
    first = asyncio.ensure_future(door.opened())
    second = asyncio.ensure_future(door.opened())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).tenant == "default"


async def test_a_token_that_was_taken_away_is_refused_within_seconds() -> None:
    store = Store(stored())
    door = Door(store)
    await door.opened()
    store.tokens.clear()
    door.later(FRESH_SECONDS)
    assert await door.refused() == "Invalid token"


async def test_a_token_that_was_bound_anew_is_worth_what_it_is_now() -> None:
    store = Store(stored())
    door = Door(store)
    await door.opened()
    store.tokens = {stored().id: stored(user_id="ben", scopes=["read"])}
    door.later(FRESH_SECONDS)
    principal = await door.opened()
    assert (principal.user_id, principal.permissions) == ("ben", {"read"})


async def test_a_token_ends_at_its_time_and_not_when_it_is_read_again() -> None:
    door = Door(Store(stored(expires_ms=1_000_500)))
    await door.opened()
    door.later(0.4)
    await door.opened()
    door.later(0.1)
    assert await door.refused() == "Token has expired"


async def test_a_token_that_is_not_there_or_not_right_is_refused_and_that_is_remembered_for_a_moment() -> None:
    store = Store(stored())
    door = Door(store)
    forged = f"{SECRET[:25]}{'A' * 38}"
    assert secrets.lookup_id(forged) == secrets.lookup_id(SECRET)
    for token in (OTHER, forged, "whatever", SECRET + "x", SECRET[:-1]):
        for _ in range(3):
            assert await door.refused(token) == "Invalid token"
    assert store.reads == 5
    store.tokens[secrets.lookup_id(OTHER)] = stored(id=secrets.lookup_id(OTHER), hash=secrets.hashed(OTHER))
    door.later(FRESH_SECONDS)
    await door.opened(OTHER)


async def test_a_store_that_is_away_lets_nobody_in_once_what_is_known_has_aged() -> None:
    store = Store(stored())
    door = Door(store)
    await door.opened()
    store.away = True
    await door.opened()
    door.later(FRESH_SECONDS)
    with pytest.raises(Unavailable):
        await door.opened()
    store.away = False
    await door.opened()


async def test_a_clock_that_is_set_back_keeps_no_token_alive() -> None:
    store = Store(stored())
    door = Door(store)
    await door.opened()
    store.tokens.clear()
    door.now -= 86_400
    door.elapsed += FRESH_SECONDS
    assert await door.refused() == "Invalid token"


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_tokens, "MOST_REMEMBERED", 10)
    door = Door(Store(stored()))
    for number in range(50):
        await door.refused(f"guess-{number}")
    await door.opened()
    assert len(door.authenticate._seen) == 10


@pytest.mark.parametrize("hash_", ["", "plain", "$2b$10$short", "$argon2id$v=19$m=65536$x"])
async def test_what_is_no_hash_matches_nothing(hash_: str) -> None:
    assert await Door(Store(stored(hash=hash_))).refused() == "Invalid token"


def test_a_token_of_more_than_72_bytes_counts_to_its_end() -> None:
    long = "x" * 100
    assert secrets.matches(long, secrets.hashed(long))
    assert not secrets.matches(long[:-1] + "y", secrets.hashed(long))


def test_our_tokens_carry_where_to_look_for_them_and_others_are_found_by_digest() -> None:
    assert SECRET.split("_", 2)[1] == secrets.lookup_id(SECRET)
    assert secrets.lookup_id("somebody-elses").startswith("~")
    assert len({secrets.new_token() for _ in range(100)}) == 100
