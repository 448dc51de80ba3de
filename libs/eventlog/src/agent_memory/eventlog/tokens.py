"""Tokens that let callers in, as they are kept in Postgres."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection

from agent_memory.contracts.errors import Conflict, Unavailable
from agent_memory.eventlog.connect import Connections

_COLUMNS = "id, hash, description, scopes::text, tenant, namespaces::text, user_id, created_ms, expires_ms"
_names = msgspec.json.Decoder(list[str]).decode


class StoredToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret. None: not bound to a namespace, to a user; does not expire. Times in UTC milliseconds."""

    id: str
    hash: str
    description: str
    scopes: list[str]
    tenant: str = "default"
    namespaces: list[str] | None = None
    user_id: str | None = None
    created_ms: int
    expires_ms: int | None = None


class TokenStore:
    """Raises Unavailable when Postgres cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def ready(self) -> None:
        """Returns when tokens can be looked up. Raises Unavailable, also for a database without a table of tokens."""
        try:
            await self.find("")
        except psycopg.errors.UndefinedTable:
            raise Unavailable("the database has no table of tokens: its schema is older than this program") from None

    async def find(self, token_id: str) -> StoredToken | None:
        """The token of that lookup id: one read by primary key."""
        found = await self._read(f"SELECT {_COLUMNS} FROM tokens WHERE id = %s", (token_id,))
        return found[0] if found else None

    async def all(self) -> list[StoredToken]:
        """Every token, oldest first."""
        return await self._read(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_ms, id")

    async def add(self, token: StoredToken) -> None:
        """Raises Conflict when there is one of that lookup id."""
        namespaces = None if token.namespaces is None else msgspec.json.encode(token.namespaces).decode()
        async with self._connection() as connection:
            try:
                await connection.execute(
                    "INSERT INTO tokens (id, hash, description, scopes, tenant, namespaces, user_id, created_ms, expires_ms)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        token.id,
                        token.hash,
                        token.description,
                        msgspec.json.encode(token.scopes).decode(),
                        token.tenant,
                        namespaces,
                        token.user_id,
                        token.created_ms,
                        token.expires_ms,
                    ),
                )
            except psycopg.errors.UniqueViolation:
                raise Conflict("this token is there already") from None

    async def remove(self, token_id: str) -> bool:
        """Takes a token away; every gateway refuses it within seconds. False: there was none."""
        async with self._connection() as connection:
            return (await connection.execute("DELETE FROM tokens WHERE id = %s", (token_id,))).rowcount == 1

    async def _read(self, query: str, values: Sequence[object] = ()) -> list[StoredToken]:
        try:
            return await self._read_once(query, values)
        except Unavailable:
            # A connection that lay idle while Postgres restarted is found dead only when it is used.
            return await self._read_once(query, values)

    async def _read_once(self, query: str, values: Sequence[object]) -> list[StoredToken]:
        async with self._connection() as connection:
            return [_token(row) for row in await (await connection.execute(query, values)).fetchall()]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._connections.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            raise Unavailable(f"the token store cannot be reached ({type(error).__name__}); try again") from error


def _token(row: tuple[Any, ...]) -> StoredToken:
    id_, hash_, description, scopes, tenant, namespaces, user_id, created_ms, expires_ms = row
    return StoredToken(
        id=id_,
        hash=hash_,
        description=description,
        scopes=_names(scopes),
        tenant=tenant,
        namespaces=None if namespaces is None else _names(namespaces),
        user_id=user_id,
        created_ms=created_ms,
        expires_ms=expires_ms,
    )
