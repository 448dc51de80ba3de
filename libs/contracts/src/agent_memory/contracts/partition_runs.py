"""A request to the summarizer that somebody waits for, and its answer. On the stream `PARTITION_RUNS`, apart from the commands."""

import msgspec

from agent_memory.contracts.errors import Fault
from agent_memory.contracts.records import Partition


class RunPartition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Summarise one group of a view now. `id` names the answer; the same id may be asked twice."""

    id: str
    tenant: str
    view_id: str
    group: dict[str, str]
    traceparent: str = ""


class PartitionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The partition, or why there is none."""

    partition: Partition | None = None
    fault: Fault | None = None
