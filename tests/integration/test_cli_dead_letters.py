"""`agent-memory dead-letters` over real streams."""

import asyncio
import json
from collections.abc import Iterator

import msgspec
import pytest
from click.testing import Result
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from typer.testing import CliRunner

from agent_memory.cli.dead_letters import app
from agent_memory.cli.output import CommandError
from agent_memory.contracts.streams import COMMANDS, CONTENTS, DATA_FIELD, DEAD_LETTERS, EVENTS, INGEST_GROUP, SEQUENCE_FIELD
from agent_memory.runtime.broker import Entry
from agent_memory.runtime.dead_letters import DeadLetter, bury


class Letters:
    """Redis with dead letters in it, and the command line over it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.redis = Redis.from_url(url)

    def bury(
        self, source: str = EVENTS, group: str = CONTENTS, position: int = 7, body: bytes = b'{"a":1}', sequence: int = 0
    ) -> str:
        error = ValueError("bad [thing]")
        letter = DeadLetter(body=body, source=source, group=group, error=error, attempts=3, position=position, sequence=sequence)

        async def write() -> None:
            async with AsyncRedis.from_url(self._url) as redis:
                await bury(redis, letter)

        asyncio.run(write())
        ((newest, _),) = self.redis.xrevrange(DEAD_LETTERS, count=1)
        return str(newest.decode())

    def run(self, *arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, arguments, env={"DATABASE_URL": "unused", "REDIS_URL": self._url}, input=answer)

    def output(self, *arguments: str) -> str:
        result = self.run(*arguments)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    def left(self) -> int:
        return int(self.redis.xlen(DEAD_LETTERS))


@pytest.fixture
def letters(redis_url: str) -> Iterator[Letters]:
    made = Letters(redis_url)
    yield made
    made.redis.close()


def test_the_list_names_each_letter_with_its_error(letters: Letters) -> None:
    assert letters.output("list") == "no dead letters\n"
    one = letters.bury()
    text = letters.output("list")
    assert one in text
    assert "ValueError: bad [thing]" in text
    assert letters.output("list", "--group", "other") == "no dead letters\n"


def test_more_letters_than_one_page_are_all_read(letters: Letters) -> None:
    for position in range(1100):
        letters.redis.xadd(DEAD_LETTERS, {"group": CONTENTS, "position": position})
    assert len(letters.output("list", "--json", "--limit", "2000").splitlines()) == 1100
    assert "3 of 1100" in letters.output("list", "-l", "3")


def test_one_letter_is_shown_with_the_whole_message(letters: Letters) -> None:
    shown = msgspec.json.decode(letters.output("show", letters.bury()))
    assert (shown["body"], shown["attempts"], shown["position"], shown["source"]) == ({"a": 1}, 3, 7, EVENTS)
    rubbish = msgspec.json.decode(letters.output("show", letters.bury(body=b"\xff{")))
    assert rubbish["body"] == "\\xff{"


def test_an_event_is_handed_to_its_projection_again_and_the_letter_is_gone(letters: Letters) -> None:
    one, _other = letters.bury(position=7), letters.bury(position=8)
    assert letters.output("replay", one) == "replayed 1\n"
    assert letters.redis.lrange(f"am:replay:{CONTENTS}", 0, -1) == [b"7"]
    assert letters.left() == 1


def test_a_command_goes_back_on_the_bus_as_it_was(letters: Letters) -> None:
    letters.bury(source=COMMANDS, group=INGEST_GROUP, position=0, body=b'{"id":"c1"}', sequence=12)
    letters.bury()
    assert letters.output("replay", "--all", "--group", INGEST_GROUP) == "replayed 1\n"
    ((id_, fields),) = letters.redis.xrange(COMMANDS)
    assert fields == {DATA_FIELD.encode(): b'{"id":"c1"}', SEQUENCE_FIELD.encode(): b"12"}
    assert Entry(id_, fields).sequence == 12
    assert letters.left() == 1


def test_a_letter_that_nobody_takes_is_kept(letters: Letters) -> None:
    one = letters.bury(group="unknown")
    assert isinstance(letters.run("replay", one).exception, CommandError)
    assert letters.left() == 1


def test_dropping_all_asks_first(letters: Letters) -> None:
    letters.bury()
    one = letters.bury()
    assert letters.run("drop", "--all", answer="n\n").exit_code == 1
    assert letters.left() == 2
    assert letters.output("drop", one) == "dropped 1\n"
    assert json.loads(letters.output("drop", "--all", "--yes", "--json")).keys() == {"dropped"}
    assert letters.output("drop", "--all") == "dropped 0\n"


@pytest.mark.parametrize("command", ["show", "replay", "drop"])
def test_an_unknown_id_is_an_error_and_changes_nothing(letters: Letters, command: str) -> None:
    letters.bury()
    error = letters.run(command, "1-1").exception
    assert isinstance(error, CommandError)
    assert "1-1" in error.text
    assert letters.left() == 1


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_neither_an_id_nor_all_is_wrong_usage(letters: Letters, command: str) -> None:
    error = letters.run(command).exception
    assert isinstance(error, CommandError)
    assert error.code == 2
