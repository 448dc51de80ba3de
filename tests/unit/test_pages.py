"""The pages name nothing that is not there: links, commands and their options; and README has a reason for each dependency."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from agent_memory.cli import main as agent_memory
from agent_memory.cli.daemon import main as memory_daemon

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")), "deploy/k8s/chart/README.md"]
TREES: dict[str, Any] = {
    name: typer.main.get_command(module.application(None, whole=True))
    for name, module in (("agent-memory", agent_memory), ("memory-daemon", memory_daemon))
}
TYPED = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\./run cli|(?:\.venv/bin/)?(agent-memory|memory-daemon)) (.+)$")


def page(name: str) -> str:
    return (ROOT / name).read_text()


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What a link can lead to, as forges name headings."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target.read_text()))):
            dead.append(link)
    assert dead == []


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Program and arguments of each command line, in blocks and in sentences."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_blocks(text)))]:
        if found := TYPED.match(line):
            yield found[1] or "agent-memory", found[2]


def flags(command: Any) -> dict[str, bool]:
    """The names of its options, and whether each stands alone, without a value."""
    return {name: getattr(one, "is_flag", False) for one in command.params for name in (*one.opts, *one.secondary_opts)}


def unknown(program: str, typed: str) -> list[str]:
    """Options and subcommands of a command line that the program does not have. `a|b`: either."""
    command = TREES[program]
    bad: list[str] = []
    options = {"--help": True, **flags(command)}
    words = iter(shlex.split(typed, comments=True))
    for word in words:
        if word in ("|", ">", ">>", "&&"):
            break
        if re.match(r"--?[a-z]", word):
            name, _, value = word.partition("=")
            if name not in options:
                bad.append(word)
            elif not options[name] and not value:
                next(words, None)
        elif getattr(command, "commands", None) and re.fullmatch(r"[a-z_|-]+", word):
            names = [name.replace("_", "-") for name in word.split("|")]
            bad += [name for name in names if name not in command.commands]
            command = command.commands.get(names[0], command)
            options |= flags(command)
    return bad


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_options_are_those_that_there_are(name: str) -> None:
    assert {f"{program} {typed}": bad for program, typed in commands(page(name)) if (bad := unknown(program, typed))} == {}


def test_each_dependency_has_a_reason() -> None:
    reasons = page("README.md").partition("## Why each dependency")[2]
    named = {name for row in reasons.splitlines() if row.startswith("|") for name in row.split("|")[1].replace(",", " ").split()}
    declared = set()
    for path in (*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml"), ROOT / "pyproject.toml"):
        project = tomllib.loads(path.read_text())
        lists = [project["project"].get("dependencies", []), *project.get("dependency-groups", {}).values()]
        declared |= {re.split(r"[^\w-]", line)[0].lower() for one in lists for line in one}
    assert {name for name in declared - named if not name.startswith("agent-memory")} == set()
