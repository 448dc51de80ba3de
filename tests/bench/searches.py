"""Memories: made searchable, found, and indexed again from the log."""

import time

import msgspec
import uvloop
from redis import Redis

from agent_memory.contracts.streams import MEMORY_INDEX, checkpoint_key
from agent_memory.embedded.supervisor import Stack
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels.indexing import Indexing, RebuildStep
from agent_memory.runtime.broker import connect_redis
from agent_memory.runtime.embed import vector_identity
from agent_memory.runtime.settings import load
from bench import processes
from bench.figures import Run, percentiles
from bench.load import Outcome
from bench.measuring import measure
from bench.plan import Turn
from bench.sequences import Connection
from bench.sites import Site
from bench.workloads import CORPUS, http

LOOK_SECONDS = 0.005
PER_REQUEST = 100
INDEX_SECONDS = 300.0


class NoModel:
    """Stands where an embedder would: asking it is an error, because vectors are kept with the log."""

    def __init__(self, model: str, dimensions: int) -> None:
        self.model, self.dimensions = model, dimensions

    async def embed(self, texts: object) -> list[bytes]:
        """Raises AssertionError."""
        raise AssertionError("a rebuild asked for an embedding")


def searchable(site: Site, turn: Turn, *, count: int, drain_seconds: float = 30.0) -> Run:
    """From the first POST until the index has taken in the last of the memories, and a search counts them all."""
    job = turn.job(site, "memories", count=turn.hundreds(count), clients=4, warm=1)
    run = measure(site, job, per_request=PER_REQUEST, until=lambda outcome: _indexed(site, outcome), drain_seconds=drain_seconds)
    found = total(site, job.tag)
    if found != run.units + PER_REQUEST:
        run.errors += 1
        run.first_error = f"{found} memories are found of {run.units + PER_REQUEST}"
    return run


def corpus(site: Site, turn: Turn, *, count: int) -> None:
    """The memories that are searched. Raises AssertionError when some are not found."""
    job = msgspec.structs.replace(
        turn.job(site, "memories", count=turn.hundreds(count), clients=4, mode="corpus", warm=0), tag=CORPUS
    )
    measure(site, job, until=lambda outcome: _indexed(site, outcome), drain_seconds=60)
    found = total(site, None)
    assert found == job.count * PER_REQUEST, f"{found} of {job.count * PER_REQUEST} memories are searchable"


def search(site: Site, turn: Turn, *, count: int, clients: int, mode: str, token: str = "") -> Run:
    """Searches whose text was never asked for before."""
    return measure(site, turn.job(site, "search", count=turn.count(count), clients=clients, mode=mode, token=token))


def prompt(site: Site, turn: Turn, *, count: int, clients: int, sessions: int = 200) -> Run:
    """Prompts with a session of 20 messages, made beforehand, and ten memories for a query that was never asked before."""
    made = turn.job(site, "put", count=sessions, clients=4, size=20, warm=0)
    measure(site, made, drain_seconds=30)
    return measure(site, turn.job(site, "prompt", count=turn.count(count), clients=clients, size=sessions))


def visible(site: Site, turn: Turn, *, count: int, how: str) -> Run:
    """One memory at a time, from the write until a search shows it."""
    return measure(site, turn.job(site, f"visible-by-{how}", count=turn.count(count)))


def rebuild(site: Site, turn: Turn) -> Run:
    """The memory index anew from the log, beside the live one, by this program; the old one is dropped within the time."""
    assert site.stack is not None
    cpu, own, busy = site.cpu(), time.process_time(), processes.busy_seconds()
    started = time.perf_counter()
    step, durations = uvloop.run(_rebuilt(site.stack))
    seconds = time.perf_counter() - started
    spent = {name: one - cpu[name] for name, one in site.cpu().items()} | {"(rebuild)": time.process_time() - own}
    run = Run(
        seconds=seconds,
        requests=len(durations),
        units=step.documents,
        latency_ms=percentiles(durations),
        cpu_us={name: one * 1e6 / step.documents for name, one in spent.items() if one > 0},
        others_percent=round(100 * max(0.0, processes.busy_seconds() - busy - sum(spent.values())) / seconds, 1),
    )
    run.notes.append(f"{step.embedded} vectors were computed; latencies are of steps of the rebuild")
    return run


def total(site: Site, namespace: str | None) -> int:
    """How many memories a listing finds."""
    asked: dict[str, object] = {"limit": 1} | ({"namespace": {"eq": namespace}} if namespace else {})
    with Connection(site.host, site.port) as connection:
        _, body = connection.get_ok(http("POST", "/v1/long-term-memory/search", asked))
    return int(msgspec.json.decode(body)["total"])


async def _rebuilt(stack: Stack) -> tuple[RebuildStep, list[float]]:
    settings = load(stack.environment)
    model, dimensions = vector_identity(settings)
    redis, connections = connect_redis(stack.redis_url), Connections(stack.database_url)
    indexing = Indexing("memory", redis, NoModel(model, dimensions), EmbeddingStore(connections))
    durations: list[float] = []
    step = RebuildStep(position=0, head=0, documents=0, embedded=0)
    last = time.perf_counter()
    async for done in indexing.rebuild(LogReader(connections), settings.redisvl_indexing_algorithm):
        step, now = done, time.perf_counter()
        durations.append(now - last)
        last = now
    await connections.close()
    await redis.aclose()
    return step, durations


def _indexed(site: Site, outcome: Outcome) -> None:
    """Waits until the memory index has accounted for all positions up to the last write's, as a reader with min_position does."""
    assert site.stack is not None
    deadline = time.monotonic() + INDEX_SECONDS
    with Redis.from_url(site.stack.redis_url) as redis:
        while int(redis.get(checkpoint_key(MEMORY_INDEX)) or 0) < outcome.position:
            if time.monotonic() > deadline:
                raise AssertionError(f"{MEMORY_INDEX} did not reach {outcome.position} in {INDEX_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)
