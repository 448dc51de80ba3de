"""`agent-memory hooks`: put them into a coding agent's settings, take them out, see what waits, deliver it."""

import difflib
import os
import shlex
import shutil
import sys
import time
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from agent_memory.cli.daemon.settings import BadConfig, DaemonSettings, Reach, load_settings
from agent_memory.cli.hooks.claude_settings import PROGRAM, BadSettings, installed, with_hooks, without_hooks
from agent_memory.cli.hooks.delivery import Delivery, Server, connected, flush, server_of
from agent_memory.cli.hooks.spool import Spool, spool_of
from agent_memory.cli.output import AsJson, CommandError, note, print_json
from agent_memory.client.errors import MemoryClientError
from agent_memory.embedded.state import StackState

AGENT = "claude-code"
NOT_RUNNING = 3
FLUSH_SECONDS = 60.0

_WAITING = "`agent-memory up` starts the stack; MEMORY_ENDPOINT names another server; --all sends everything there"

app = typer.Typer(no_args_is_help=True, help="Hooks of coding agents: install, remove, look, deliver.")
AgentName = Annotated[str, typer.Argument(metavar="AGENT", help=f"Whose hooks: {AGENT}.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="Its settings; default ~/.claude/settings.json.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, change nothing.")]


@app.command("install")
def install(
    agent: AgentName,
    dry_run: DryRun = False,
    settings: SettingsFile = None,
    program: Annotated[str, typer.Option("--program", help="The hook program; default the one of this installation.")] = "",
    as_json: AsJson = False,
) -> None:
    """Have every session recorded from now on. What else is in the settings stays, and the file from before is kept beside it."""
    file = _settings_of(agent, settings)
    before = _read(file)
    command = f"{shlex.quote(program or _program())} --agent {AGENT}"
    _change(file, before, _changed(file, lambda: with_hooks(before, command)), dry_run, as_json)


@app.command("uninstall")
def uninstall(agent: AgentName, dry_run: DryRun = False, settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """Take our hooks out again, and nothing else."""
    file = _settings_of(agent, settings)
    before = _read(file)
    _change(file, before, _changed(file, lambda: without_hooks(before)), dry_run, as_json)


@app.command("status")
def status(settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """Show which hooks are installed, whether the timeline answers who reports here, and what waits to be delivered."""
    file = _settings_of(AGENT, settings)
    try:
        hooks, fault = installed(_read(file)), ""
    except (CommandError, BadSettings) as error:
        hooks, fault = [], str(error)
    held, spool, server = _here()
    try:
        with connected(server, (held.namespace, held.user_id), 1.0) as timeline:
            timeline.get_toc_root()
        silence = ""
    except MemoryClientError as error:
        silence = str(error)
    told = {
        "settings": str(file),
        "hooks": hooks,
        "problem": fault,
        "endpoint": server.endpoint,
        "answers": not silence,
        "waiting": len(spool.waiting()),
        "refused": [str(refused) for refused in spool.refused()],
        "spool": [str(folder) for folder in spool.folders],
    }
    print(msgspec.json.encode(told).decode() if as_json else "\n".join(_status_lines(told, silence)))


@app.command("flush")
def flush_(
    all_: Annotated[bool, typer.Option("--all", help="Also what was meant for the server of another machine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Deliver what waits. Exit code 3 when some of it waits on, as when nobody answers; 4 when some of it was refused.

    What was reported while MEMORY_ENDPOINT named the server of another machine waits for that one.
    """
    _, spool, server = _here()
    server = msgspec.structs.replace(server, takes_all=all_)
    outcome = flush(spool, server, FLUSH_SECONDS)
    print(msgspec.json.encode(outcome).decode() if as_json else delivered_line(outcome))
    if outcome.left:
        raise CommandError(f"{outcome.left} still waiting: {outcome.why}", hint=_WAITING, code=NOT_RUNNING)
    if outcome.refused:
        raise SystemExit(4)


def deliver_waiting(state: StackState, token: str | None, settings: DaemonSettings | None = None) -> None:
    """At the start of a stack: what hooks have left for it. Says what came of it, where something waited."""
    spool = spool_of(os.environ, Path(state.home))
    if not spool.waiting():
        return
    try:
        held = settings or load_settings(os.environ)
        reach = Reach(
            endpoint=state.grpc_endpoint, ca_file=state.grpc_certificate, cert_file=held.cert_file, key_file=held.key_file
        )
        server = Server(endpoint=reach.endpoint, token=token, certificates=reach.certificates())
    except BadConfig as error:
        note(f"hooks: {len(spool.waiting())} waiting: {error}")
        return
    outcome = flush(spool, server, FLUSH_SECONDS)
    note(delivered_line(outcome) + (f" ({outcome.why})" if outcome.why else ""))


def delivered_line(outcome: Delivery) -> str:
    """What came of it, in words."""
    return f"hooks: {outcome.delivered} delivered, {outcome.refused} refused, {outcome.left} waiting"


def _status_lines(told: dict[str, Any], silence: str) -> list[str]:
    hooks = ", ".join(told["hooks"]) or f"none (install them with: agent-memory hooks install {AGENT})"
    lines = [f"hooks     {told['problem'] or hooks}", f"settings  {told['settings']}"]
    lines += [f"timeline  {told['endpoint']} {silence or 'answers'}", f"waiting   {told['waiting']}"]
    return lines + ([f"refused   {len(told['refused'])}, the newest: {told['refused'][-1]}"] if told["refused"] else [])


def _here() -> tuple[DaemonSettings, Spool, Server]:
    try:
        held = load_settings(os.environ)
        server = server_of(held, os.environ)
    except BadConfig as error:
        raise CommandError(str(error)) from None
    return held, spool_of(os.environ, held.home(os.environ).path), server


def _settings_of(agent: str, given: Path | None) -> Path:
    if agent != AGENT:
        raise CommandError(f"hooks of {agent!r} are not known", hint=f"known: {AGENT}", code=2)
    folder = os.environ.get("CLAUDE_CONFIG_DIR", "").strip()
    usual = (Path(folder) if folder else Path.home() / ".claude") / "settings.json"
    # A link stays one: what it points to is changed.
    return (given or usual).expanduser().resolve()


def _program() -> str:
    beside = Path(sys.executable).parent / PROGRAM
    return str(beside) if beside.exists() else shutil.which(PROGRAM) or PROGRAM


def _read(file: Path) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(file.read_bytes().strip() or b"{}")
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}", hint="nothing was changed; repair it first") from None
    if not isinstance(told, dict):
        raise CommandError(f"{file} holds no object", hint="nothing was changed; repair it first")
    return told


def _changed(file: Path, change: Any) -> dict[str, Any]:
    try:
        changed: dict[str, Any] = change()
    except BadSettings as error:
        raise CommandError(f"{file}: {error}", hint="nothing was changed; repair it first") from None
    return changed


def _change(file: Path, before: dict[str, Any], after: dict[str, Any], dry_run: bool, as_json: bool) -> None:
    changed = before != after
    if changed and not dry_run:
        try:
            _write(file, _text(after))
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"settings": str(file), "changed": changed, "dry_run": dry_run, "after": after})
    elif not changed:
        print(f"{file} is as it should be")
    elif dry_run:
        old, new = (_text(settings).splitlines() if settings else [] for settings in (before, after))
        print("\n".join(difflib.unified_diff(old, new, str(file), f"{file} (new)", lineterm="")))
    else:
        print(f"changed {file}")


def _write(file: Path, text: str) -> None:
    """Replaces the file at once; what it was stays beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    if file.exists():
        shutil.copymode(file, fresh)
        backup = _free(file.with_name(f"{file.name}.{time.strftime('%Y%m%d-%H%M%S')}"))
        shutil.copy2(file, backup)
        note(f"the settings from before are in {backup}")
    with fresh.open("rb") as opened:
        os.fsync(opened.fileno())
    os.replace(fresh, file)


def _free(place: Path) -> Path:
    """A name that begins so and that no earlier backup has."""
    names = (place.with_name(f"{place.name}{f'-{number}' if number else ''}.bak") for number in count())
    return next(name for name in names if not name.exists())


def _text(settings: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(settings), indent=2).decode() + "\n"
