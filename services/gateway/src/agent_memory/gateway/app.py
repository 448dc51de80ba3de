"""Composition root: the only file of the gateway that makes things. `python -m agent_memory.gateway.app` serves."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any, cast

import structlog
import uvloop
from litestar.types import ASGIApp
from redis.asyncio import Redis

from agent_memory.auth.principal import Authenticate, disabled
from agent_memory.contracts.errors import Unavailable
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.memories import MemoryLog
from agent_memory.eventlog.neighbours import NeighbourReader
from agent_memory.eventlog.newest import NewestReader
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.said import SaidReader
from agent_memory.eventlog.tokens import TokenStore
from agent_memory.gateway.auth_tokens import TokenAuthentication
from agent_memory.gateway.bundles import LogBundles
from agent_memory.gateway.bus import RedisCommandBus
from agent_memory.gateway.compaction import RedisCompaction
from agent_memory.gateway.contents import LoggedContents
from agent_memory.gateway.edges.grpc import server as grpc_server
from agent_memory.gateway.edges.http.edge import create_edge
from agent_memory.gateway.gateway import Clock, Gateway, utc_now
from agent_memory.gateway.ids import Ids
from agent_memory.gateway.jobs import ScheduledJobs
from agent_memory.gateway.joined_events import JoinedEvents
from agent_memory.gateway.past import LogPast
from agent_memory.gateway.pipelined import JoiningRedis
from agent_memory.gateway.ports import (
    WORKING_MEMORY,
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
from agent_memory.gateway.projections import RedisProjections
from agent_memory.gateway.remembering import RememberingBus
from agent_memory.gateway.rewriting import Rewriter
from agent_memory.gateway.serving import Server
from agent_memory.gateway.settings import AuthSettings, check_open, load_auth, open_allowed, warnings_of
from agent_memory.gateway.summaries import NothingPending, PendingSummaries
from agent_memory.gateway.tokens import Cl100k
from agent_memory.gateway.touches import Touches
from agent_memory.gateway.views import LoggedViews
from agent_memory.gateway.working_search import WorkingSearch
from agent_memory.readmodels.contents import zones_of
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.readmodels.search import MemorySearch, TimelineSearch
from agent_memory.readmodels.sessions import SessionLog, SessionReader, SessionWriter
from agent_memory.runtime import logging, telemetry, tracing
from agent_memory.runtime.broker import replica_name
from agent_memory.runtime.embed import create_query_embedder, vector_identity
from agent_memory.runtime.job_settings import jobs_of
from agent_memory.runtime.llm import Completer, Unconfigured, create_completer
from agent_memory.runtime.metrics_server import Check
from agent_memory.runtime.service import beating, is_alive
from agent_memory.runtime.settings import Settings, SettingsError, load
from agent_memory.runtime.settings.dotenv import adopt_dotenv

SERVICE = "gateway"
LONGEST_QUERY_SECONDS = 5.0
COLLECT_EVERY = 20_000
"""Containers made between two looks for garbage. A search makes hundreds and leaves no cycles: looking took a tenth of its time."""


def create_gateway(
    settings: Settings,
    *,
    bus: CommandBus,
    log: Log,
    past: Past,
    compaction: Compaction,
    sessions: Sessions,
    memories: Memories,
    working: WorkingMemories,
    timeline: Timeline,
    contents: Contents,
    views: SummaryViews,
    jobs: Jobs,
    bundles: Bundles,
    embedder: Embedder,
    projections: Projections,
    checks: Checks,
    tokens: TokenCounter | None = None,
    summaries: Summaries | None = None,
    completer: Completer | None = None,
    authenticate: Authenticate = disabled,
    new_id: Callable[[], str] | None = None,
    clock: Clock = utc_now,
    leaving: Callable[[], bool] = lambda: False,
) -> Gateway:
    """What the doors share, over the given ports. Opens nothing, so nothing has to be closed."""
    return Gateway(
        settings=settings,
        bus=bus,
        log=log,
        past=past,
        compaction=compaction,
        sessions=sessions,
        summaries=summaries or NothingPending(),
        memories=memories,
        working=working,
        timeline=timeline,
        contents=contents,
        views=views,
        jobs=jobs,
        bundles=bundles,
        embedder=embedder,
        projections=projections,
        checks=checks,
        tokens=tokens or Cl100k(),
        rewriter=Rewriter(
            completer or Unconfigured(),
            template=settings.query_optimization_prompt_template,
            least=settings.min_optimized_query_length,
        ),
        touches=Touches(bus, clock),
        authenticate=authenticate,
        new_id=new_id or Ids(),
        clock=clock,
        leaving=leaving,
    )


def create_app(settings: Settings, **given: Any) -> ASGIApp:
    """The HTTP application over what `create_gateway` takes."""
    return create_edge(create_gateway(settings, **given))


@asynccontextmanager
async def connected(settings: Settings, auth: AuthSettings, leaving: Callable[[], bool]) -> AsyncIterator[Gateway]:
    """The gateway on real servers. Starts also while they are down: then it answers 503 until they are back.

    With tokens it needs their store to start. Raises SettingsError when that cannot be asked.
    """
    async with AsyncExitStack() as stack:
        authenticate = await authentication(settings, auth, stack)
        connections = Connections(settings.database_url, longest=LONGEST_QUERY_SECONDS)
        stack.push_async_callback(connections.close)
        redis = JoiningRedis.joining(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        views_redis = redis
        if settings.views_redis_url != settings.redis_url:
            views_redis = JoiningRedis.joining(settings.views_redis_url)
            stack.push_async_callback(views_redis.aclose)
        embedder = create_query_embedder(settings)
        stack.push_async_callback(embedder.close)
        completer = create_completer(settings, fast=True)
        stack.push_async_callback(completer.close)
        reader = LogReader(connections)
        bus = RedisCommandBus(
            settings.redis_url,
            reader,
            gateway_id=replica_name(settings),
            timeout_seconds=settings.command_timeout_seconds,
            new_id=Ids(),
            now_ms=lambda: time.time_ns() // 1_000_000,
            views_url=settings.views_redis_url,
        )
        sessions = SessionReader(views_redis, cast(SessionLog, reader))
        newest, projections = NewestReader(connections), RedisProjections(redis)
        await bus.start()
        stack.push_async_callback(bus.stop)
        joined = JoinedEvents(bus)
        traced = bool(settings.otel_exporter_otlp_endpoint)
        stack.push_async_callback(joined.stop)
        await stack.enter_async_context(beating(redis, SERVICE, settings))
        yield create_gateway(
            settings,
            bus=RememberingBus(joined) if traced else joined,
            log=reader,
            past=LogPast(MemoryLog(connections)),
            compaction=RedisCompaction(redis, new_id=Ids(), seconds=settings.llm_task_timeout_minutes * 60),
            sessions=sessions,
            summaries=PendingSummaries(redis),
            working=WorkingSearch(
                reader,
                sessions,
                EmbeddingStore(connections),
                embedder,
                utc_now,
                # Indexed as long-term memories, messages would be found twice.
                messages_too=not settings.index_all_messages_in_long_term_memory,
            ),
            memories=MemorySearch(redis, ask=redis.together),
            timeline=TimelineSearch(redis, ask=redis.together),
            contents=LoggedContents(
                TableOfContents(redis, zones_of(settings.timeline_timezone, settings.timeline_timezones)),
                SaidReader(connections),
                NeighbourReader(connections),
            ),
            views=LoggedViews(newest, redis, patience=settings.llm_task_timeout_minutes * 60, new_id=Ids(), clock=utc_now),
            jobs=ScheduledJobs(
                jobs_of(settings), redis, newest, bus, projections, patience=settings.read_wait_seconds, clock=utc_now
            ),
            bundles=LogBundles(settings.database_url, SessionWriter(views_redis), model=vector_identity(settings)[0]),
            embedder=embedder,
            completer=completer,
            projections=projections,
            checks=checks_of(reader, redis, bus, views_redis),
            authenticate=authenticate,
            leaving=leaving,
        )


async def authentication(settings: Settings, auth: AuthSettings, stack: AsyncExitStack) -> Authenticate:
    """How callers are known. What it opens is closed with the stack."""
    if auth.auth_mode == "token":
        connections = Connections(settings.database_url, size=2)
        stack.push_async_callback(connections.close)
        tokens = TokenStore(connections)
        try:
            await tokens.ready()
        except Unavailable as error:
            raise SettingsError(f"AUTH_MODE=token cannot be used: {error.detail}") from None
        return TokenAuthentication(tokens)
    if auth.auth_mode == "oauth2":
        oauth2 = import_module("agent_memory.auth.oauth2")  # 0.15 s of cryptography that nobody else needs
        keys = oauth2.IssuerKeys(auth.jwks_url)
        stack.push_async_callback(keys.close)
        return cast(Authenticate, oauth2.OAuth2Authentication(auth, keys))
    return disabled


def checks_of(reader: LogReader, redis: Redis, bus: RedisCommandBus, views: Redis) -> Mapping[str, Check]:
    """What must work for requests to be answered. Without a working memory of its own place, all but sessions still are."""

    async def postgres() -> str | None:
        await reader.head()
        return None

    async def redis_answers() -> str | None:
        await redis.ping()
        return None

    async def ingest() -> str | None:
        return None if await is_alive(redis, "ingest") else "no replica of ingest is alive: writes are not answered"

    async def replies() -> str | None:
        return None if await bus.listening() else "replies of the command bus cannot be heard"

    async def working_memory() -> str | None:
        await views.ping()
        return None

    needed = {"postgres": postgres, "redis": redis_answers, "ingest": ingest, "replies": replies}
    return needed if views is redis else {**needed, WORKING_MEMORY: working_memory}


async def serve(settings: Settings, auth: AuthSettings) -> None:
    """Serve HTTP and gRPC until SIGTERM or SIGINT."""
    leaving = asyncio.Event()
    async with connected(settings, auth, leaving.is_set) as gateway:
        telemetry.BUILD.labels(SERVICE, replica_name(settings)).set(1)
        log = structlog.get_logger(__name__)
        for warning in warnings_of(settings, auth):
            log.warning(warning)
        door = await grpc_server.start(gateway, settings) if settings.grpc_enabled else None
        addresses = [] if door is None else door.addresses
        log.info("listening", host=settings.host, port=settings.port, grpc=addresses, authentication=auth.auth_mode)
        try:
            await Server(create_edge(gateway), settings, door, leaving).serve()
        finally:
            if door is not None:
                await door.stop(0)


def main() -> None:
    """Serve with settings from the environment. A wrong setting ends the process with 2 and its name."""
    try:
        adopt_dotenv()
        settings = load()
        auth = load_auth(os.environ)
        if auth.auth_mode == "disabled":
            check_open(settings, allowed=open_allowed(os.environ))
        logging.configure(settings, SERVICE)
        tracing.start(settings, SERVICE)
        gc.freeze()
        gc.set_threshold(COLLECT_EVERY)
        uvloop.run(serve(settings, auth))
    except SettingsError as error:
        print(f"gateway: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        tracing.stop()


if __name__ == "__main__":
    main()
