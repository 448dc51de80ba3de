"""Claude Code's settings with our hooks in them, and without. Everything else in them stays as it is."""

import copy
import shlex
from pathlib import PurePath
from typing import Any

PROGRAM = "memory-ingest"
HOOKS = ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SubagentStop", "SessionEnd")
_WITH_MATCHER = frozenset({"PostToolUse"})
TIMEOUT_SECONDS = 5


class BadSettings(Exception):
    """Settings whose hooks have a shape that Claude Code does not know; they are left alone."""


def with_hooks(settings: dict[str, Any], command: str) -> dict[str, Any]:
    """The settings with one hook of ours for each of HOOKS; one that stands there already keeps its place. Raises BadSettings."""
    changed = copy.deepcopy(settings)
    changed.setdefault("hooks", {})
    hooks = _hooks_of(changed)
    ours = {"type": "command", "command": command, "timeout": TIMEOUT_SECONDS}
    for name in HOOKS:
        entries = _entries_of(hooks, name)
        standing = [hook for entry in entries for hook in entry["hooks"] if is_ours(hook)]
        if len(standing) == 1:
            standing[0].update(ours)
            continue
        matcher: dict[str, Any] = {"matcher": "*"} if name in _WITH_MATCHER else {}
        hooks[name] = [*_without_ours(entries), matcher | {"hooks": [ours]}]
    return changed


def without_hooks(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without any hook of ours, and without what would be left empty by that. Raises BadSettings."""
    changed = copy.deepcopy(settings)
    hooks = _hooks_of(changed)
    for name in installed(settings):
        hooks[name] = _without_ours(_entries_of(hooks, name))
        if not hooks[name]:
            del hooks[name]
    if not hooks and settings.get("hooks"):
        del changed["hooks"]
    return changed


def installed(settings: dict[str, Any]) -> list[str]:
    """Names of the hooks that are ours. Raises BadSettings."""
    hooks = _hooks_of(settings)
    return [name for name in hooks if any(is_ours(hook) for entry in _entries_of(hooks, name) for hook in entry["hooks"])]


def is_ours(hook: object) -> bool:
    """Whether a hook runs our program, wherever that lies."""
    command = hook.get("command") if isinstance(hook, dict) else None
    if not isinstance(command, str):
        return False
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return bool(words) and PurePath(words[0]).name == PROGRAM


def _without_ours(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [entry | {"hooks": [hook for hook in entry["hooks"] if not is_ours(hook)]} for entry in entries]
    return [now for now, entry in zip(kept, entries, strict=True) if now["hooks"] or not entry["hooks"]]


def _hooks_of(settings: dict[str, Any]) -> dict[str, Any]:
    hooks = settings.get("hooks", {})
    if not isinstance(hooks, dict):
        raise BadSettings("hooks is not an object")
    return hooks


def _entries_of(hooks: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = hooks.get(name, [])
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("hooks"), list) for entry in entries
    ):
        raise BadSettings(f"hooks.{name} is not a list of objects that have hooks")
    return entries
