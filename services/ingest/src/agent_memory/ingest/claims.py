"""Which memory stands for a content: a claim that the database enforces, so that one fact becomes one memory. Pure."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from agent_memory.eventlog.rows import ClaimChange

Key = tuple[str, str]
"""(tenant, memory hash)"""


class Claims(msgspec.Struct, kw_only=True):
    """Claims as they are `stored`, as far as they were loaded, and what a batch makes of them.

    `decided`: who holds a claim after this batch, None for nobody; `strict`: claims that must be free in the database, because
    somebody was told so; `given_up`: by memories of which it is not known whether they hold them; `gone`: memories that have none
    any more.
    """

    stored: dict[Key, str] = {}
    decided: dict[Key, str | None] = {}
    strict: set[Key] = set()
    given_up: set[tuple[Key, str]] = set()
    gone: set[tuple[str, str]] = set()

    def holder(self, tenant: str, memory_hash: str) -> str | None:
        """The memory that stands for a content. Asks only what was loaded or decided in this batch."""
        key = (tenant, memory_hash)
        return self.decided[key] if key in self.decided else self.stored.get(key)

    def claim(self, tenant: str, memory_hash: str, memory_id: str, *, strict: bool) -> None:
        """Let a memory stand for a content. Strict: the caller has seen that it is free, and the write must fail if it is not."""
        key = (tenant, memory_hash)
        self.decided[key] = memory_id
        if strict and key not in self.stored:
            self.strict.add(key)

    def release(self, tenant: str, memory_hash: str, memory_id: str) -> None:
        """A memory does not say this any more."""
        key, holder = (tenant, memory_hash), self.holder(tenant, memory_hash)
        if holder == memory_id:
            self.decided[key] = None
        elif holder is None and key not in self.stored:
            self.given_up.add((key, memory_id))

    def drop(self, tenant: str, memory_id: str) -> None:
        """A memory is gone, and with it all it stood for."""
        for key in {*self.stored, *self.decided}:
            if key[0] == tenant and self.holder(*key) == memory_id:
                self.decided[key] = None
        self.gone.add((tenant, memory_id))

    def hand_over(self, tenant: str, hashes: Iterable[str], memory_id: str) -> None:
        """Let another memory stand for these contents, whoever does now."""
        for memory_hash in hashes:
            self.claim(tenant, memory_hash, memory_id, strict=False)

    def changes(self) -> list[ClaimChange]:
        """What the database has to do."""
        changes = [self._change(key, after) for key, after in self.decided.items()]
        return [
            *(change for change in changes if change is not None),
            *(_claim("delete", key, memory_id) for key, memory_id in sorted(self.given_up)),
            *(ClaimChange(kind="drop", tenant=tenant, memory_id=memory_id) for tenant, memory_id in sorted(self.gone)),
        ]

    def _change(self, key: Key, after: str | None) -> ClaimChange | None:
        before = self.stored.get(key)
        if after is None:
            return None if before is None else _claim("delete", key, before)
        if before == after and (key[0], after) not in self.gone:
            return None
        if before is None:
            return _claim("insert" if key in self.strict else "offer", key, after)
        return ClaimChange(kind="move", tenant=key[0], memory_hash=key[1], memory_id=after, held_by=before)


def _claim(kind: Literal["insert", "offer", "delete"], key: Key, memory_id: str) -> ClaimChange:
    return ClaimChange(kind=kind, tenant=key[0], memory_hash=key[1], memory_id=memory_id)
