"""Composition root of the compactor: the only file that makes things."""

from datetime import UTC, datetime

import msgspec
from redis.asyncio import Redis

from agent_memory.compactor.compaction import Compaction, Done
from agent_memory.compactor.forgetting import Forgetting, policy_of
from agent_memory.compactor.handlers import TYPES, AnswerRequests, KeepDuplicates
from agent_memory.compactor.settings import DEFAULTS, CompactorSettings
from agent_memory.contracts.streams import COMPACTION, COMPACTIONS, COMPACTOR_GROUP, DUPLICATES, EVENTS, FORGETTING
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.memories import MemoryLog
from agent_memory.readmodels import duplicates
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.job_bodies import Body, JobBodies
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.service import run
from agent_memory.runtime.settings import Settings

SERVICE = "compactor"


async def serve(settings: Settings, own: CompactorSettings = DEFAULTS) -> None:
    """Keep the groups of equal memories, merge and forget, until the process is told to stop."""
    redis, broker, connections = connect_redis(settings.redis_url), make_broker(settings), Connections(settings.database_url)
    log, replica = MemoryLog(connections), replica_name(settings)
    own = msgspec.structs.replace(own, farthest=settings.deduplication_distance_threshold)
    projection = Projection(name=DUPLICATES, types=TYPES, apply=KeepDuplicates(redis).apply)
    runner = Runner(projection, log=log, ledger=Ledger(redis, DUPLICATES), redis=redis)
    sender = Commanding(redis, log, f"{SERVICE}:{replica}")
    judge = Journal(create_completer(settings), CompletionStore(connections))
    compaction = Compaction(
        redis, log, EmbeddingStore(connections), sender, judge, own, semantic=settings.compact_semantic_duplicates
    )

    async def compact(due_ms: int) -> dict[str, str]:
        done = Done()
        for tenant in await duplicates.tenants(redis):
            done.add(await compaction.tenant(tenant, f"{COMPACTION}/{due_ms}", wanted=lambda _: True))
        return {"merged": str(done.merged)}

    forget = create_forgetting(settings, redis, log, sender)
    bodies: dict[str, Body] = {COMPACTION: compact, FORGETTING: forget}
    requests = AnswerRequests(redis, compaction, own, seconds=settings.llm_task_timeout_minutes * 60)
    subscribe(broker, EVENTS, DUPLICATES, replica, runner.handle, batch=own.batch, claim_after_ms=own.claim_after_ms)
    subscribe(
        broker,
        COMPACTIONS,
        COMPACTOR_GROUP,
        replica,
        requests.handle,
        batch=own.requests,
        claim_after_ms=own.request_claim_after_ms,
    )
    jobs = JobBodies(redis, SERVICE, bodies)
    checks = {"redis": answers(redis.ping), "postgres": answers(log.head)}
    await run(settings, SERVICE, redis=redis, broker=broker, tasks=[runner.sweep, jobs.run], checks=checks)
    await judge.close()
    await connections.close()
    await redis.aclose()


def create_forgetting(settings: Settings, redis: Redis, log: MemoryLog, sender: Commanding) -> Body:
    """Forgetting by the policy of the settings; without one, nothing is forgotten."""
    policy = policy_of(settings)
    forgetting = None if policy is None else Forgetting(redis, log, sender, policy, clock=lambda: datetime.now(UTC))

    async def forget(due_ms: int) -> dict[str, str]:
        return {"forgotten": "0" if forgetting is None else str(await forgetting.everywhere(f"{FORGETTING}/{due_ms}"))}

    return forget


if __name__ == "__main__":
    start(SERVICE, serve)
