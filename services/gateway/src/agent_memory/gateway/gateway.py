"""Everything that the doors share: the ports, and who may come in."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from agent_memory.auth.principal import Authenticate
from agent_memory.gateway.ports import (
    Bundles,
    Checks,
    CommandBus,
    Compaction,
    Contents,
    Embedder,
    Jobs,
    Log,
    Memories,
    Past,
    Projections,
    Sessions,
    Summaries,
    SummaryViews,
    Timeline,
    TokenCounter,
    WorkingMemories,
)
from agent_memory.gateway.rewriting import Rewriter
from agent_memory.gateway.touches import Touches
from agent_memory.runtime.settings import Settings

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """What a door needs to answer: settings, ports, clock and ids. Holds no state of its own."""

    settings: Settings
    bus: CommandBus
    log: Log
    past: Past
    compaction: Compaction
    sessions: Sessions
    summaries: Summaries
    views: SummaryViews
    jobs: Jobs
    bundles: Bundles
    memories: Memories
    working: WorkingMemories
    timeline: Timeline
    contents: Contents
    embedder: Embedder
    projections: Projections
    checks: Checks
    tokens: TokenCounter
    rewriter: Rewriter
    touches: Touches
    authenticate: Authenticate
    new_id: Callable[[], str]
    clock: Clock = utc_now
    leaving: Callable[[], bool] = lambda: False
    """Whether this process was told to stop."""

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return int(self.clock().timestamp() * 1_000)
