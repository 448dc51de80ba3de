"""Which memories a policy lets go: one rule, whether a caller brings a policy or the settings do. Pure."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from agent_memory.contracts.queries import Recency
from agent_memory.contracts.records import MemoryRecord, to_milliseconds
from agent_memory.readmodels.ranking import recency

_DAY = timedelta(days=1)


class ForgetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which memories may go. Ages in days; `budget`: how many of those of an owner that no age rule hits may stay."""

    max_age_days: float | None = None
    max_inactive_days: float | None = None
    budget: int | None = None
    memory_type_allowlist: list[str] | None = None
    hard_age_multiplier: float = 12.0

    @property
    def forgets(self) -> bool:
        """Whether anything can go by this policy at all."""
        return any(rule is not None for rule in (self.max_age_days, self.max_inactive_days, self.budget))


def forgettable(
    records: Sequence[MemoryRecord], policy: ForgetPolicy, pinned_ids: Collection[str], now: datetime, *, most: int | None = None
) -> list[str]:
    """Ids of the memories that the policy lets go, in the order given. Pinned ones never are among them.

    Each owner (namespace and user) has a budget to itself, so nobody's memories push out another's. `most`: no more than so many,
    those that were of use the longest ago.
    """
    types = policy.memory_type_allowlist
    eligible = [
        record
        for record in records
        if not record.pinned and record.id not in pinned_ids and (types is None or record.memory_type in types)
    ]
    going = [record for record in eligible if _too_old(record, policy, now)]
    if policy.budget is not None:
        old = {record.id for record in going}
        owners: dict[tuple[str, str], list[MemoryRecord]] = defaultdict(list)
        for record in eligible:
            if record.id not in old:
                owners[record.namespace or "", record.user_id or ""].append(record)
        going += [record for staying in owners.values() for record in _best_first(staying, now)[policy.budget :]]
    if most is not None and len(going) > most:
        going = _best_first(going, now)[len(going) - most :]
    gone = {record.id for record in going}
    return [record.id for record in eligible if record.id in gone]


def _best_first(records: Sequence[MemoryRecord], now: datetime) -> list[MemoryRecord]:
    return sorted(records, key=lambda record: (-_recency(record, now), record.id))


def _too_old(record: MemoryRecord, policy: ForgetPolicy, now: datetime) -> bool:
    age, inactive = (now - record.created_at) / _DAY, (now - record.last_accessed) / _DAY
    most_age, most_inactive = policy.max_age_days, policy.max_inactive_days
    if most_age is not None and most_inactive is not None:
        return age > most_age * policy.hard_age_multiplier or (age > most_age and inactive > most_inactive)
    return (most_age is not None and age > most_age) or (most_inactive is not None and inactive > most_inactive)


def _recency(record: MemoryRecord, now: datetime) -> float:
    created_at, last_accessed, at = (
        1_000 * milliseconds + rest for milliseconds, rest in map(to_milliseconds, (record.created_at, record.last_accessed, now))
    )
    return recency(Recency(), created_at=created_at, last_accessed=last_accessed, now=at)
