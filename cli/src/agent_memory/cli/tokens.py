"""`agent-memory token`: who may come in when AUTH_MODE=token. Tokens are kept as hashes: one is shown once, when it is made."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from agent_memory.cli.options import Force, Format, FormatOption
from agent_memory.cli.output import AsJson, CommandError, note, print_json, printable
from agent_memory.cli.reach import servers
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.records import MAX_ID_BYTES
from agent_memory.eventlog import secrets
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.tokens import StoredToken, TokenStore

SHORT_HASH = 16
"""A hash of fewer characters is the beginning, or any part, of one."""
WEAK_TOKEN = 20
DAY_MS = 86_400_000
MOST_DAYS = 36_500
LAST_MS = 253_402_300_799_000
"""The end of the year 9999: no date that can be shown is later."""
Answer = TypeVar("Answer")

app = typer.Typer(no_args_is_help=True)


class Scope(StrEnum):
    """What a token allows. Each includes the one before."""

    read = "read"
    write = "write"
    admin = "admin"


@app.callback()
def tokens() -> None:
    """Tokens that let callers in, with AUTH_MODE=token."""


@app.command()
def add(
    description: Annotated[str, typer.Option("--description", "-d", help="What it is for.")],
    expires_days: Annotated[
        int | None, typer.Option("--expires-days", "-e", min=1, max=MOST_DAYS, help="Days until it ends; else never.")
    ] = None,
    format_: FormatOption = Format.text,
    token: Annotated[str | None, typer.Option("--token", help="A token that exists already, instead of a new one.")] = None,
    scope: Annotated[Scope, typer.Option("--scope", help="What it allows: read; write, too; admin, everything.")] = Scope.write,
    tenant: Annotated[str, typer.Option(help="Whose memories it reaches.")] = "default",
    namespace: Annotated[list[str] | None, typer.Option(help="Only this namespace; give it again for several.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a token. It is printed now and never again."""
    secret = secrets.new_token() if token is None else _foreign(token)
    for option, name in (("--tenant", tenant), ("--user", user), *(("--namespace", one) for one in namespace or ())):
        if name is not None and not (1 <= len(name.encode("utf-8", "surrogateescape")) <= MAX_ID_BYTES and "\0" not in name):
            raise CommandError(f"{option}: a name has 1 to {MAX_ID_BYTES} bytes", code=2)
    now_ms = time.time_ns() // 1_000_000
    made = StoredToken(
        id=secrets.lookup_id(secret),
        hash=secrets.hashed(secret),
        description=description,
        scopes=[scope.value],
        tenant=tenant,
        namespaces=list(dict.fromkeys(namespace)) if namespace else None,
        user_id=user,
        created_ms=now_ms,
        expires_ms=None if expires_days is None else now_ms + expires_days * DAY_MS,
    )
    _with_store(lambda store: _added(store, made))
    if as_json or format_ is Format.json:
        print_json({"token": secret, **_described(made)})
        return
    print("Token created successfully!")
    print(f"Token: {secret}")
    print(printable(f"Description: {description}"))
    print(f"Expires: {_expires(made)}")
    print(printable(f"Reaches: {_reach(made)}"))
    print("\nWARNING: Save this token securely. It will not be shown again.")


@app.command("list")
def list_(format_: FormatOption = Format.text, as_json: AsJson = False) -> None:
    """List the tokens, oldest first."""
    found = _with_store(lambda store: store.all())
    if as_json or format_ is Format.json:
        print_json([{**_described(one), "status": _status(one, "Never Expires")} for one in found])
        return
    if not found:
        print("No tokens found.")
        return
    print("Authentication Tokens:")
    print("=" * 50)
    for one in found:
        _print_short(one)
        print("-" * 30)


@app.command()
def show(
    token_hash: Annotated[str, typer.Argument(metavar="HASH")], format_: FormatOption = Format.text, as_json: AsJson = False
) -> None:
    """Show one token by its hash, a part of it, or its id."""
    for_programs = as_json or format_ is Format.json
    one = _found(token_hash, for_programs)
    if for_programs:
        print_json({**_described(one), "status": _status(one, "Active")})
        return
    print("Token Details:")
    print(f"Hash: {one.hash}")
    _print_short(one)
    print(f"Status: {_status(one, 'Active')}")


@app.command()
def remove(
    token_hash: Annotated[str, typer.Argument(metavar="HASH")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Remove a token by its hash, a part of it, or its id. Every gateway refuses it within seconds."""
    one = _found(token_hash, as_json)
    if not as_json:
        print("Token to remove:")
        _print_short(one)
    if not force:
        typer.confirm("Are you sure you want to remove this token?", abort=True, err=as_json)
    if not _with_store(lambda store: store.remove(one.id)):
        raise CommandError("somebody else has removed it meanwhile")
    if as_json:
        print_json({"id": one.id, "hash": one.hash, "removed": True})
    else:
        print("Token removed successfully.")


def _foreign(token: str) -> str:
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError("--token: letters, digits and signs that a header can carry, without spaces", code=2)
    if len(token) < WEAK_TOKEN:
        note(f"this token has {len(token)} characters only: it may be guessed")
    return token


async def _added(store: TokenStore, token: StoredToken) -> None:
    try:
        await store.add(token)
    except Conflict as error:
        raise CommandError(error.detail, hint="`agent-memory token list` shows what there is") from error


def _with_store(ask: Callable[[TokenStore], Awaitable[Answer]]) -> Answer:
    database_url = os.environ.get("DATABASE_URL") or servers(os.environ).database_url

    async def asked() -> Answer:
        connections = Connections(database_url, size=1)
        try:
            return await ask(TokenStore(connections))
        finally:
            await connections.close()

    return asyncio.run(asked())


def _found(wanted: str, for_programs: bool) -> StoredToken:
    """The token of that id or hash. Raises CommandError when there is none, or more than one."""
    every = _with_store(lambda store: store.all())
    found = [one for one in every if wanted in (one.id, one.hash)]
    if not found and 0 < len(wanted) < SHORT_HASH:
        found = [one for one in every if wanted in one.hash or one.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    why = f"No token found matching '{wanted}'" if not found else f"'{wanted}' matches {len(found)} tokens"
    if for_programs:
        print_json({"error": why})
        raise SystemExit(1)
    raise CommandError(why, hint="`agent-memory token list` shows ids and hashes")


def _described(token: StoredToken) -> dict[str, object]:
    return {
        "description": token.description,
        "created_at": _iso(token.created_ms),
        "expires_at": None if token.expires_ms is None else _iso(token.expires_ms),
        "hash": token.hash,
        "id": token.id,
        "scopes": token.scopes,
        "tenant": token.tenant,
        "namespaces": token.namespaces,
        "user_id": token.user_id,
    }


def _status(token: StoredToken, endless: str) -> str:
    if token.expires_ms is None:
        return endless
    return "EXPIRED" if token.expires_ms <= time.time_ns() // 1_000_000 else "Active"


def _print_short(token: StoredToken) -> None:
    print(f"Token: {token.hash[:8]}...{token.hash[-8:]}")
    print(printable(f"Description: {token.description}"))
    print(f"Created: {_iso(token.created_ms)}")
    print(f"Expires: {_expires(token)}{' (EXPIRED)' if _status(token, '') == 'EXPIRED' else ''}")
    print(f"Id: {token.id}")
    print(printable(f"Reaches: {_reach(token)}"))


def _reach(token: StoredToken) -> str:
    parts = [f"tenant {token.tenant}"]
    if token.namespaces is not None:
        parts.append(f"namespaces {', '.join(token.namespaces)}")
    if token.user_id is not None:
        parts.append(f"user {token.user_id}")
    return f"{', '.join(token.scopes)} in {'; '.join(parts)}"


def _expires(token: StoredToken) -> str:
    return "Never" if token.expires_ms is None else _iso(token.expires_ms)


def _iso(milliseconds: int) -> str:
    """With microseconds and offset, as those who read these outputs know it."""
    return datetime.fromtimestamp(min(milliseconds, LAST_MS) / 1_000, UTC).isoformat(timespec="microseconds")
