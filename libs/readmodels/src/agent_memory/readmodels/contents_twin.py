"""The table of contents in memory, made by the same steps: what the view in Redis should hold, recounted from the log."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agent_memory.contracts.records import Scope, TimelineEvent, escape
from agent_memory.contracts.streams import session_stream
from agent_memory.readmodels.contents import PREFIX, SessionState, Step, Written, Zoned, key, plan
from agent_memory.readmodels.contents_stalled import Place, Standing
from agent_memory.readmodels.cutting import cut, member


class ContentsTwin:
    """Takes sessions and revisions in; `entries` is what `contents.entries` gives."""

    def __init__(self, zones: Zoned) -> None:
        self._zones = zones
        self._hashes: dict[str, dict[str, str]] = {}
        self._texts: dict[str, str] = {}
        self._children: dict[str, dict[str, int]] = {}
        self._revised: dict[str, int] = {}

    def session(self, scope: Scope, session_id: str, events: Iterable[tuple[int, TimelineEvent]]) -> None:
        """All timeline events of a session, with their versions in its log stream."""
        members = sorted((member(version, event) for version, event in events), key=lambda one: one.place)
        after = tuple(cut(session_stream(scope, session_id), members))
        if after:
            step = Step(scope=scope, session_id=session_id, before=SessionState(rev=0), after=after)
            keys, operations = plan(0, step, self._zones.of(scope.tenant))
            for operation in operations:
                self._perform(keys, operation)

    def write(self, written: Written) -> None:
        """What was written about a node; the newest version stays."""
        node = key(0, written.scope, "node", written.revision.node_id)
        if self._revised.get(node, 0) < written.version:
            self._revised[node] = written.version
            kept = msgspec.structs.replace(written.revision, grips=())
            about = {"revised": str(written.version), "revision": msgspec.json.encode(kept).decode()}
            self._hashes.setdefault(node, {}).update(about)
        for grip in written.revision.grips:
            self._texts[key(0, written.scope, "grip", escape(grip.grip_id))] = msgspec.json.encode(grip).decode()

    def entries(self) -> dict[str, object]:
        """What the view should hold, by key without its generation."""
        values: dict[str, object] = {name: sorted([*pair] for pair in fields.items()) for name, fields in self._hashes.items()}
        values |= self._texts
        for name, children in self._children.items():
            values[name] = sorted(children, key=lambda one: (children[one], one))
        return {name.removeprefix(f"{PREFIX}0:"): value for name, value in values.items() if value}

    def stalled(self) -> list[Place]:
        """Nodes, by scope path and id, that somebody should be about to write about."""
        return list(Standing(self._hashes, self._children).stalled())

    def _perform(self, keys: list[str], operation: list[Any]) -> None:
        match operation:
            case ["HSET", at, field, value]:
                self._hashes.setdefault(keys[at - 1], {})[field] = value
            case ["SET", at, value]:
                self._texts[keys[at - 1]] = value
            case ["ZADD", at, score, name]:
                self._children.setdefault(keys[at - 1], {})[name] = int(score)
            case ["count", at, count, parent, start, name]:
                node = self._hashes.setdefault(keys[at - 1], {})
                node["events"] = str(int(node.get("events", "0")) + int(count))
                self._children.setdefault(keys[parent - 1], {})[name] = int(start)
            case ["session", at, session_id, count]:
                sessions = self._hashes.setdefault(keys[at - 1], {})
                sessions[session_id] = str(int(sessions.get(session_id, "0")) + int(count))
            case _:
                raise ValueError(f"a session that had nothing cannot {operation[0]}")
