"""Composition root of the summarizer: the only file that makes things."""

from functools import partial

from msgspec.structs import replace
from redis.asyncio import Redis

from agent_memory.contracts.job_catalogue import HOURLY_ROLLUP, SEGMENT_SUMMARIZER
from agent_memory.contracts.streams import (
    ENRICHMENT,
    EVENTS,
    PARTITION_RUNS,
    PARTITION_RUNS_GROUP,
    SESSION_WORK,
    SUMMARY_VIEWS,
    TASKS,
)
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.histories import HistoryReader
from agent_memory.eventlog.newest import NewestReader
from agent_memory.eventlog.said import SaidReader
from agent_memory.readmodels import due, session_work
from agent_memory.readmodels.contents import zones_of
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.search import MemorySearch
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.embed import create_embedder
from agent_memory.runtime.embed_vectors import Embedder
from agent_memory.runtime.job_bodies import Body, JobBodies
from agent_memory.runtime.leases import Leases
from agent_memory.runtime.llm import Completer, create_completer
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.service import run
from agent_memory.runtime.settings import Settings
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.summarizer.bert import load_entities, load_topics
from agent_memory.summarizer.documents import Documents
from agent_memory.summarizer.enriching import Enrichment, Finders
from agent_memory.summarizer.extraction import Extraction
from agent_memory.summarizer.looking import MEMORY_TYPES, SESSION_TYPES, KeepEnrichment, KeepSessionWork
from agent_memory.summarizer.recording import Recorder
from agent_memory.summarizer.revising import Revising
from agent_memory.summarizer.revisions import Revisions
from agent_memory.summarizer.settings import DEFAULTS, SummarizerSettings
from agent_memory.summarizer.summaries import Summaries
from agent_memory.summarizer.summary_views import SummaryViews
from agent_memory.summarizer.vectors import KnownVectors
from agent_memory.summarizer.view_models import ViewModels
from agent_memory.summarizer.view_requests import AnswerPartitions
from agent_memory.summarizer.view_runs import TYPES as TASK_TYPES
from agent_memory.summarizer.view_runs import KeepTasks, Refreshing, ViewRuns
from agent_memory.summarizer.working import Work, Worker

SERVICE = "summarizer"
SWEEP_SECONDS = 3_600.0
"""A job's own time is over before."""


async def serve(settings: Settings, own: SummarizerSettings = DEFAULTS) -> None:
    """Keep the views of sessions and do what they say is to be done, until the process is told to stop."""
    redis, broker = connect_redis(settings.redis_url), make_broker(settings)
    connections = Connections(settings.database_url, size=own.connections)
    log, kept = HistoryReader(connections), CompletionStore(connections)
    model = Journal(create_completer(settings), kept)
    fast = Journal(create_completer(settings, fast=True), kept)
    embedder = create_embedder(settings)
    leases = partial(Leases, redis, lease_ms=round(settings.work_lease_seconds * 1000))

    view_log, commands, view_leases = NewestReader(connections), Commanding(redis, log, SERVICE), leases(SUMMARY_VIEWS)
    view_models = create_view_models(settings, kept)
    views = SummaryViews(redis, view_log, MemorySearch(redis), view_models, commands, view_leases)
    partition_runs = AnswerPartitions(redis, views)

    revisions = create_revisions(settings, redis, connections, model, embedder)
    revising = Revising(redis, revisions, commands, log.head, at_once=own.nodes_at_once)
    works: list[Work] = [
        create_summaries(settings, redis, log, model, embedder, EmbeddingStore(connections)),
        Extraction(
            redis,
            log,
            model,
            Recorder(redis, log, SESSION_WORK),
            debounce_seconds=settings.extraction_debounce_seconds,
            enabled=settings.enable_discrete_memory_extraction and settings.long_term_memory,
        ),
        Enrichment(redis, log, fast, Recorder(redis, log, ENRICHMENT), create_finders(settings)),
        ViewRuns(redis, view_log, views, commands, view_leases),
    ]
    workers = {work.name: Worker(work, leases(work.name), at_once=settings.work_at_once) for work in works}

    look = KeepSessionWork(redis, log, TokenCounter(), settings.summarization_threshold, workers["summary"].wake)
    projections = [
        Projection(name=SESSION_WORK, types=SESSION_TYPES, apply=look.apply),
        Projection(name=ENRICHMENT, types=MEMORY_TYPES, apply=KeepEnrichment(redis, workers["enrichment"].wake).apply),
        Projection(name=TASKS, types=TASK_TYPES, apply=KeepTasks(redis, workers[SUMMARY_VIEWS].wake).apply),
    ]
    runners = [Runner(one, log=log, ledger=Ledger(redis, one.name), redis=redis) for one in projections]
    for runner in runners:
        name = runner.projection.name
        subscribe(broker, EVENTS, name, replica_name(settings), runner.handle, batch=own.batch, claim_after_ms=own.claim_after_ms)
    asked = partial(subscribe, broker, PARTITION_RUNS, PARTITION_RUNS_GROUP, replica_name(settings), partition_runs.handle)
    asked(batch=settings.work_at_once, claim_after_ms=own.claim_after_ms)

    jobs = JobBodies(
        redis,
        SERVICE,
        {
            SUMMARY_VIEWS: Refreshing(redis, view_log, commands).run,
            HOURLY_ROLLUP: swept(revising, "periods"),
            SEGMENT_SUMMARIZER: swept(revising, "segments"),
        },
    )
    await run(
        settings,
        SERVICE,
        redis=redis,
        broker=broker,
        tasks=[
            partial(agree_on_share, redis, settings),
            *(runner.sweep for runner in runners),
            *(worker.run for worker in workers.values()),
            *[revising.run] * own.revising_lanes,
            jobs.run,
        ],
        drain=partition_runs.drain,
        checks={"redis": answers(redis.ping), "postgres": answers(log.head)},
    )
    await model.close()
    await fast.close()
    await view_models.close()
    await embedder.close()
    await connections.close()
    await redis.aclose()


def create_summaries(
    settings: Settings, redis: Redis, log: HistoryReader, model: Journal, embedder: Embedder, vectors: EmbeddingStore
) -> Summaries:
    """The work that shortens documents."""
    return Summaries(
        redis,
        Documents(redis, log),
        model,
        KnownVectors(embedder, vectors),
        Recorder(redis, log, SESSION_WORK),
        TokenCounter(),
        share=settings.summarization_threshold,
        prompt=settings.progressive_summarization_prompt,
        enabled=settings.enable_working_memory_summarization,
    )


def create_revisions(settings: Settings, redis: Redis, connections: Connections, model: Journal, embedder: Embedder) -> Revisions:
    """What is written about nodes of the table of contents."""
    toc = TableOfContents(redis, zones_of(settings.timeline_timezone, settings.timeline_timezones))
    writer = model if settings.timeline_summaries == "model" else None
    vectors = KnownVectors(embedder, EmbeddingStore(connections))
    return Revisions(redis, toc, SaidReader(connections), writer, vectors, models_at_once=settings.work_at_once)


def create_view_models(settings: Settings, kept: CompletionStore) -> ViewModels:
    """The models of summary views: FAST_MODEL, or the one that a view names."""

    def create(name: str) -> Completer:
        return create_completer(replace(settings, fast_model=name), fast=True)

    return ViewModels(create, kept, TokenCounter(), default=settings.fast_model)


def create_finders(settings: Settings) -> Finders:
    """Who looks for topics and entities, by settings."""
    topics = entities = None
    if settings.enable_topic_extraction and settings.top_k_topics:
        topics = load_topics(settings.topic_model, settings.top_k_topics) if settings.topic_model_source == "BERT" else "model"
    if settings.enable_ner:
        entities = load_entities(settings.ner_model) if settings.ner_model_source == "BERT" else "model"
    return Finders(topics=topics, entities=entities, most_topics=settings.top_k_topics)


def swept(revising: Revising, kind: due.Kind) -> Body:
    """The job that has everything of a kind written about that waits. A model may take as long as the job's own time allows."""

    async def sweep(due_ms: int) -> dict[str, str]:
        return await revising.sweep(kind, seconds=SWEEP_SECONDS)

    return sweep


async def agree_on_share(redis: Redis, settings: Settings) -> None:
    """Documents are measured anew when SUMMARIZATION_THRESHOLD is another than when they were measured."""
    await session_work.agree(redis, settings.summarization_threshold)


if __name__ == "__main__":
    start(SERVICE, serve)
