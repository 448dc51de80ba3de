"""What the summarizer does for summary views, as a room in a test and as a process that can be killed.

`python -m support.view_worker DATABASE_URL REDIS_URL MODEL_URL LEASE_MS` works until it is told to stop.
"""

import asyncio
import sys

from redis.asyncio import Redis

from agent_memory.contracts.streams import COMMANDS, SUMMARY_VIEWS
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.newest import NewestReader
from agent_memory.readmodels.search import MemorySearch
from agent_memory.runtime.broker import Entry
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.leases import Leases
from agent_memory.runtime.llm import Completer, create_completer
from agent_memory.runtime.settings import Settings
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.summarizer.summary_views import SummaryViews
from agent_memory.summarizer.view_models import ViewModels
from agent_memory.summarizer.view_requests import AnswerPartitions
from agent_memory.summarizer.view_runs import Refreshing, ViewRuns
from agent_memory.summarizer.working import Worker
from support.small_system import SmallSystem


class ViewWorker:
    """One replica. Without `model_url` there is no model."""

    def __init__(self, database_url: str, redis_url: str, model_url: str = "", *, lease_ms: int = 30_000) -> None:
        self.connections = Connections(database_url)
        self.redis = Redis.from_url(redis_url, protocol=2)
        self.log = NewestReader(self.connections)
        settings = Settings(openai_api_base=model_url) if model_url else Settings(openai_api_base="https://api.openai.com/v1")

        def create(name: str) -> Completer:
            return create_completer(Settings(openai_api_base=settings.openai_api_base, fast_model=name), fast=True)

        self.models = ViewModels(create, CompletionStore(self.connections), TokenCounter(), default="stub")
        commands, leases = Commanding(self.redis, self.log, "views"), Leases(self.redis, SUMMARY_VIEWS, lease_ms=lease_ms)
        self.views = SummaryViews(self.redis, self.log, MemorySearch(self.redis), self.models, commands, leases)
        self.runs = ViewRuns(self.redis, self.log, self.views, commands, leases)
        self.refreshing = Refreshing(self.redis, self.log, commands)
        self.requests = AnswerPartitions(self.redis, self.views)
        self.worker = Worker(self.runs, leases)

    async def close(self) -> None:
        """Let go of everything."""
        await self.models.close()
        await self.connections.close()
        await self.redis.aclose()


async def pump(system: SmallSystem, enough: asyncio.Event) -> None:
    """Takes commands off the bus and shows their effects, until it is enough: ingest and every projection as one."""
    shown = 0
    while not enough.is_set():
        entries = await system.redis.xrange(COMMANDS, count=100)
        for id_, fields in entries:
            await system.handle([Entry(id_, fields)])
            await system.redis.xdel(COMMANDS, id_)
        if (head := await system.log.head()) > shown:
            await system.catch_up()
            shown = head
        await asyncio.sleep(0.005)


async def main(database_url: str, redis_url: str, model_url: str, lease_ms: str) -> None:
    """Work on tasks."""
    room = ViewWorker(database_url, redis_url, model_url, lease_ms=int(lease_ms))
    await room.worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
