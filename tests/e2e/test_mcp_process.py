"""`agent-memory mcp` as a process: where it finds a memory server, what it says and where, when it refuses to start."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_memory.embedded.home import Home, is_held
from support.forks import python
from support.mcp_doors import COMMAND, MAKES, Make, connected
from support.servers import stack_environment, temporary_home

THEIRS = "DATABASE_URL=postgresql://them:secret@127.0.0.1:9/theirs\nLOG_LEVEL=loud\nAGENT_MEMORY_URL=http://127.0.0.1:9\n"
"""What may stand in the `.env` of a project that an agent works on."""
THE_COMMAND = ("agent_memory.cli.main", "mcp")
THE_GATEWAY = ("agent_memory.mcp.app", "--mode", "stdio")
MESSAGE = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as path:
        yield path


def ended(
    *arguments: str, spoken: bytes = b"", command: tuple[str, ...] = THE_COMMAND, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Runs the command until it ends by itself, or what it turns itself into."""
    argv = python(*command, *arguments)
    return subprocess.run(argv, env=stack_environment(**environment), input=spoken, capture_output=True, check=False, timeout=100)


async def test_over_stdio_the_memory_of_this_machine_is_started_once_by_clients_that_are_opened_together(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(THEIRS)
    environment = stack_environment(AGENT_MEMORY_HOME=str(home), EMBEDDING_MODEL="hash")

    async def used(make: Make) -> str:
        async with connected(make, "stdio", "", environment=environment, folder=tmp_path, command=COMMAND) as client:
            stored = await client.ask("create_long_term_memories", memories=[{"text": f"It was started for {make}"}])
            found = await client.ask("get_long_term_memory", memory_id=stored["memory_ids"][0])
        return str(found["text"])

    try:
        told = await asyncio.gather(*(used(make) for make in MAKES))
        assert told == [f"It was started for {make}" for make in MAKES]
        assert is_held(Home(path=home))
    finally:
        down = await asyncio.create_subprocess_exec(*python("agent_memory.cli.main", "down"), env=environment)
        assert await down.wait() == 0


@pytest.mark.parametrize(
    ("url", "command"), [("nowhere", THE_COMMAND), ("ftp://me:hush@127.0.0.1", THE_GATEWAY), ("http://", THE_GATEWAY)]
)
def test_what_is_no_address_of_a_memory_server_is_told_in_one_line(url: str, command: tuple[str, ...]) -> None:
    done = ended(AGENT_MEMORY_URL=url, command=command)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.splitlines()
    assert b"AGENT_MEMORY_URL=" in line
    assert b"hush" not in line


def test_standard_input_comes_with_whole_characters_to_its_end() -> None:
    reading = "from agent_memory.mcp.halves import make_standard_input_whole as whole; whole(); print(ascii(open(0, 'rb').read()))"
    lines = b'{"a": "' + b"x" * 200_000 + b'\\ud83d"}\n{"b": "\\ud83d\\ude00"}\n{"no end": "\\ud83d"}'
    done = subprocess.run([sys.executable, "-c", reading], input=lines, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().strip() == ascii(lines.replace(b'\\ud83d"', b'\\ufffd"'))


def test_standard_output_carries_messages_and_nothing_else() -> None:
    done = ended(spoken=MESSAGE + b"this is no message\n" + MESSAGE, AGENT_MEMORY_URL="http://127.0.0.1:9", LOG_LEVEL="DEBUG")
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert all(line.startswith(b'{"jsonrpc":"2.0"') for line in done.stdout.splitlines())
    assert done.stderr


@pytest.mark.parametrize("arguments", [("--sse",), ("--mode", "streamable-http", "--task-backend", "docket")])
def test_with_no_memory_server_an_http_mode_says_how_to_have_one(home: Path, arguments: tuple[str, ...]) -> None:
    done = ended(*arguments, AGENT_MEMORY_HOME=str(home))
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"agent-memory up" in done.stderr
    assert not is_held(Home(path=home))


def test_it_refuses_to_listen_beyond_this_machine_without_authentication() -> None:
    done = ended("--sse", "--host", "0.0.0.0", AGENT_MEMORY_URL="http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"MCP_HOST='0.0.0.0' cannot be used: authentication is disabled" in done.stderr
    assert len(done.stderr.splitlines()) == 1
