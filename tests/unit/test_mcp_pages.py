"""What README.md and docs/mcp.md give to copy for each client is what that client reads, and what our command line takes."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from support.typed import Typed

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/mcp.md")
CLIENTS = ("Claude Code", "Claude Desktop", "Cursor", "VS Code")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def servers(page: str) -> list[dict[str, Any]]:
    """Every server that a page configures, in whichever file of whichever client."""
    found = [json.loads(block) for block in blocks(page, "json")]
    inline = re.findall(r"`(\{\"mcpServers\".*?\}\}\})`", (ROOT / page).read_text())
    found += [json.loads(one) for one in inline]
    return [server for one in found for key in ("mcpServers", "servers") for server in one.get(key, {}).values()]


@pytest.mark.parametrize("page", PAGES)
def test_each_client_finds_something_to_copy(page: str) -> None:
    text = (ROOT / page).read_text()
    assert [client for client in CLIENTS if f"**{client}**" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_is_given_to_copy_is_json_of_servers_that_can_be_started_or_reached(page: str, typed: Typed) -> None:
    found = servers(page)
    assert len(found) >= 2
    for server in found:
        if "command" in server:
            assert server["command"].endswith("/agent-memory")
            assert typed(*server["args"], "--help").code == 0
        else:
            assert re.fullmatch(r"https?://[^/]+/work/mcp", server["url"])


@pytest.mark.parametrize("page", PAGES)
def test_commands_for_claude_code_have_their_options_where_it_reads_them(page: str, typed: Typed) -> None:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("claude mcp add")]
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)
        assert "memory" in words
        if "--" in words:
            program, *arguments = words[words.index("--") + 1 :]
            assert program.endswith("/agent-memory")
            assert typed(*arguments, "--help").code == 0
        else:
            assert words[3:5] == ["--transport", "http"]
            assert words[6].endswith("/work/mcp")
