"""Nodes of the table of contents about which something else would be written now, and whose turn it is. Pure."""

from collections.abc import Iterator, Mapping

import msgspec

from agent_memory.contracts.toc import SEGMENT_PREFIX, Revision
from agent_memory.readmodels.contents import PREFIX
from agent_memory.readmodels.cutting import Segment
from agent_memory.readmodels.fingerprints import of_period, of_segment

Place = tuple[str, str]
"""Scope path and node id."""

_segment = msgspec.json.Decoder(Segment)
_revision = msgspec.json.Decoder(Revision)


class Standing:
    """What is there and what was written about it, from the keys of a generation 0: hashes, and children with their starts."""

    def __init__(self, hashes: Mapping[str, Mapping[str, str]], children: Mapping[str, Mapping[str, int]]) -> None:
        self._segments: dict[Place, Segment] = {}
        self._periods: list[Place] = []
        self._written: dict[Place, tuple[int, Revision]] = {}
        self._parts: dict[Place, list[Place]] = {}
        for name, fields in hashes.items():
            scope_path, kind, node_id = _split(name)
            if kind == "session":
                self._segments |= {(scope_path, one): _segment.decode(text) for one, text in fields.items()}
            elif kind == "node":
                if "events" in fields:
                    self._periods.append((scope_path, node_id))
                if "revision" in fields and not (about := _revision.decode(fields["revision"])).gone:
                    self._written[scope_path, node_id] = int(fields["revised"]), about
        for name, starts in children.items():
            scope_path, _, node_id = _split(name)
            ordered = sorted(starts, key=lambda one: (starts[one], one))
            self._parts[scope_path, node_id] = [(scope_path, one) for one in ordered]

    def stalled(self) -> Iterator[Place]:
        """Segments, and periods all of whose parts are written about as they are, of which that is not so."""
        yield from (one for one in self._segments if not self._current(one))
        for one in self._periods:
            if not self._current(one) and all(self._current(part) for part in self._parts.get(one, ())):
                yield one

    def _current(self, place: Place) -> bool:
        _, about = self._written.get(place, (0, None))
        if about is None:
            return False
        if place[1].startswith(SEGMENT_PREFIX):
            return about.fingerprint == of_segment(self._segments[place])
        return about.fingerprint == of_period((one[1], self._version(one)) for one in self._parts.get(place, ()))

    def _version(self, place: Place) -> int:
        return self._written[place][0] + 1 if place in self._written else 1


def _split(name: str) -> tuple[str, str, str]:
    scope_path, _, rest = name.removeprefix(f"{PREFIX}0:{{").partition("}:")
    kind, _, node_id = rest.partition(":")
    return scope_path, kind, node_id
