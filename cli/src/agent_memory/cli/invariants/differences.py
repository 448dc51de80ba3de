"""How a recount and a read model differ, and which of the differences mean something."""

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b

import msgspec

from agent_memory.cli.invariants.expected import Entry, Model
from agent_memory.cli.invariants.results import Findings

MOST = 20_000
"""So many differences are kept; of an index that was lost every document is one."""

_SIZE = 1 << 128


class Verdicts(msgspec.Struct, frozen=True):
    """The findings of the invariants that hold what is shown against the log."""

    rebuild: Findings
    newer: Findings
    tenants: Findings
    sources: Findings
    forgotten: Findings


class Difference(msgspec.Struct, frozen=True):
    """Something that is not as the log says. `place` tells whether it may have changed meanwhile; `also`: what else it breaks."""

    text: str
    place: str
    also: tuple[Findings, ...] = ()


class Differences:
    """Of one read model. They only count when nothing moved at their place since the recount."""

    def __init__(self, model: Model, expected: Mapping[str, Entry], *, partly: bool = False) -> None:
        self.model = model
        self._missing = dict(expected)
        self._partly = partly
        self._found: list[Difference] = []
        self._more = 0
        self._wanted = 0 if partly else _sum(expected.items())
        self._live = 0

    def expected(self, key: str, digest: bytes) -> Entry | None:
        """What should be there, asked once for each thing that is shown; None when nothing should."""
        entry = self._missing.pop(key, None)
        self._live = (self._live + _one(key, digest)) % _SIZE
        if self._partly and entry is not None:
            self._wanted = (self._wanted + _one(key, entry.digest)) % _SIZE
        return entry

    def add(self, text: str, place: str, *also: Findings) -> None:
        """Something differs."""
        if len(self._found) < MOST:
            self._found.append(Difference(text, place, also))
        else:
            self._more += 1

    def lacking(self, text: Callable[[str, Entry], str]) -> None:
        """Whatever was expected and not shown differs."""
        for key, entry in self._missing.items():
            self.add(text(key, entry), entry.stream)

    @property
    def any(self) -> bool:
        """Whether anything differs so far."""
        return bool(self._found)

    def settle(self, findings: Findings, moved: Callable[[str], bool]) -> None:
        """Counts what differs and did not move."""
        for difference in self._found:
            if not moved(difference.place):
                findings.broken(difference.text)
                for other in difference.also:
                    other.broken(difference.text)
        findings.wrong += self._more
        findings.digests[self.model] = f"{self._wanted:032x}", f"{self._live:032x}"


def _sum(entries: Iterable[tuple[str, Entry]]) -> int:
    return sum(_one(key, entry.digest) for key, entry in entries) % _SIZE


def _one(key: str, digest: bytes) -> int:
    """Any order of the same things has the same sum."""
    return int.from_bytes(blake2b(key.encode(errors="surrogateescape") + b"\0" + digest, digest_size=16).digest(), "big")
