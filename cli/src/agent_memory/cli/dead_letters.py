"""`agent-memory dead-letters`: the messages that were given up; look at them, send them again, or drop them."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from redis import Redis
from redis.exceptions import RedisError

from agent_memory.cli.output import AsJson, CommandError, console, print_json
from agent_memory.cli.reach import NOT_RUNNING, servers
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD, DEAD_LETTERS, EVENTS, PROJECTIONS, SEQUENCE_FIELD

CHUNK = 500
SHORT = 60

app = typer.Typer(no_args_is_help=True)


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up. `source` is the stream it came from, `group` who could not handle it."""

    id: str
    source: str
    group: str
    error: str
    error_name: str
    attempts: int
    position: int
    sequence: int
    at_ms: int
    body: bytes


@app.callback()
def dead_letters() -> None:
    """Messages that could not be handled, kept until somebody decides."""


@app.command("list")
def list_(
    group: Annotated[str | None, typer.Option(help="Only those of this consumer group.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many, oldest first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List dead letters, oldest first."""
    redis = _redis()
    letters = _wanted(redis, (), everything=True, group=group)
    if as_json:
        for letter in letters[:limit]:
            print(_as_json(letter))
        return
    if not letters:
        print("no dead letters")
        return
    console().print(_table(letters[:limit]))
    if len(letters) > limit:
        print(f"{limit} of {len(letters)}")


@app.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = True) -> None:
    """Show one dead letter with the whole message, always as JSON."""
    (letter,) = _wanted(_redis(), [letter_id])
    print(msgspec.json.format(_as_json(letter)))


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    group: Annotated[str | None, typer.Option(help="With --all: only those of this consumer group.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hand messages to their consumer again. What fails again becomes a dead letter again."""
    redis = _redis()
    letters = _wanted(redis, ids or (), everything=everything, group=group)
    for letter in letters:
        _replay(redis, letter)
    _tell("replayed", letters, as_json)


@app.command()
def drop(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    group: Annotated[str | None, typer.Option(help="With --all: only those of this consumer group.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget messages for good. The log keeps its events; the view that could not take them stays without them."""
    redis = _redis()
    letters = _wanted(redis, ids or (), everything=everything, group=group)
    if everything and letters and not yes:
        typer.confirm(f"Drop {len(letters)} dead letters?", abort=True, err=as_json)
    if letters:
        redis.xdel(DEAD_LETTERS, *[letter.id for letter in letters])
    _tell("dropped", letters, as_json)


def _tell(done: str, letters: Sequence[Letter], as_json: bool) -> None:
    if as_json:
        print_json({done: [letter.id for letter in letters]})
    else:
        print(f"{done} {len(letters)}")


def _redis() -> Redis:
    redis = Redis.from_url(servers(os.environ).redis_url, socket_connect_timeout=3)
    try:
        redis.ping()
    except (RedisError, OSError) as error:
        hint = "`agent-memory status` shows what runs; REDIS_URL names another"
        raise CommandError(f"Redis does not answer: {error}", hint=hint, code=NOT_RUNNING) from error
    return redis


def _wanted(redis: Redis, ids: Sequence[str], *, everything: bool = False, group: str | None = None) -> list[Letter]:
    """The letters that a command is about. Raises CommandError for an id that is not there, or when none was named."""
    if everything == bool(ids):
        raise CommandError("name the dead letters by id, or give --all", hint="`agent-memory dead-letters list` shows ids", code=2)
    letters = {letter.id: letter for letter in _read_all(redis)}
    if everything:
        return [letter for letter in letters.values() if group in (None, letter.group)]
    unknown = [one for one in ids if one not in letters]
    if unknown:
        raise CommandError(f"there is no dead letter {', '.join(unknown)}", hint="`agent-memory dead-letters list` shows ids")
    return [letters[one] for one in dict.fromkeys(ids)]


def _read_all(redis: Redis) -> list[Letter]:
    letters: list[Letter] = []
    first = "-"
    while chunk := redis.xrange(DEAD_LETTERS, min=first, count=CHUNK):
        letters += [_letter(entry_id, fields) for entry_id, fields in chunk]
        first = f"({letters[-1].id}"
    return letters


def _letter(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Letter:
    def text(name: str) -> str:
        return fields.get(name.encode(), b"").decode(errors="replace")

    return Letter(
        id=entry_id.decode(),
        source=text("source"),
        group=text("group"),
        error=text("error"),
        error_name=text("error_name"),
        attempts=int(text("attempts") or 0),
        position=int(text("position") or 0),
        sequence=int(text("sequence") or 0),
        at_ms=int(text("at_ms") or 0),
        body=fields.get(DATA_FIELD.encode(), b""),
    )


def _replay(redis: Redis, letter: Letter) -> None:
    """The message goes back and the letter away at once, or neither."""
    with redis.pipeline(transaction=True) as pipe:
        match letter.source:
            case str(source) if source == COMMANDS:
                pipe.xadd(COMMANDS, {DATA_FIELD: letter.body, SEQUENCE_FIELD: letter.sequence or ""})
            case str(source) if source == EVENTS and letter.group in PROJECTIONS and letter.position:
                pipe.rpush(f"am:replay:{letter.group}", letter.position)
            case _:
                raise CommandError(f"{letter.id} cannot be replayed: nobody takes {letter.source} for {letter.group}")
        pipe.xdel(DEAD_LETTERS, letter.id)
        pipe.execute()


def _as_json(letter: Letter) -> str:
    fields = msgspec.structs.asdict(letter)
    try:
        fields["body"] = msgspec.json.decode(letter.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields["body"] = letter.body.decode(errors="backslashreplace")
    return msgspec.json.encode(fields).decode()


def _table(letters: Sequence[Letter]) -> object:
    from rich.markup import escape  # noqa: PLC0415 (0.1 s that --help need not pay)
    from rich.table import Table  # noqa: PLC0415 (as above)

    table = Table(box=None, pad_edge=False)
    for heading in ("id", "since", "group", "position", "attempts", "error"):
        table.add_column(heading)
    for letter in letters:
        since = datetime.fromtimestamp(letter.at_ms / 1000, UTC)
        error = " ".join(f"{letter.error_name}: {letter.error}".split())[:SHORT]
        position = str(letter.position or "")
        table.add_row(letter.id, f"{since:%Y-%m-%d %H:%M:%S}", letter.group, position, str(letter.attempts), escape(error))
    return table
