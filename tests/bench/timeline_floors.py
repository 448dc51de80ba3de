"""What is underneath the timeline, alone: gRPC with nothing behind it, and drafts of segments that nobody keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.readmodels.cutting import cut, member
from agent_memory.summarizer.domain import said
from agent_memory.summarizer.drafting import draft_segment
from bench import bare_rpc
from bench.figures import Run
from bench.floors import Floors, timed
from bench.history import SESSION, Year
from bench.measuring import measure
from bench.plan import Turn
from bench.sites import Site, python_process
from bench.texts import Texts

NAMES = ["toc:day:2025-06-01"]


def rpc(floors: Floors, turn: Turn, *, workload: str, count: int, clients: int) -> Run:
    """Calls of a server that does what gRPC does and no more."""
    with Redis.from_url(floors.redis_url) as redis:
        redis.set(bare_rpc.KEY, _node())
    with _site(floors.redis_url) as site:
        return measure(site, turn.job(site, workload, count=turn.count(count), clients=clients, names=NAMES))


def drafts(_: Floors, turn: Turn, *, events: int) -> Run:
    """Segments of 22 messages put into words by one process, without vectors; units are events."""
    year = Year(seed=turn.seed, namespace="floor", events=max(SESSION, turn.count(events)))
    told = []
    for session in year.sessions():
        by_id = {event.event_id: event for event in session}
        members = [member(version, event) for version, event in enumerate(session, 1)]
        told += [said(segment.members, by_id) for segment in cut(session[0].session_id, members)]
    return timed(lambda segment: draft_segment(segment, None), told)


def _node() -> bytes:
    """A day as it is sent: five bullets, seven keywords, a dozen children."""
    texts = Texts(0)
    node = pb.TocNode(
        node_id=NAMES[0],
        level=pb.TOC_LEVEL_DAY,
        title="June 1, 2025",
        summary=" ".join(texts.sentence() for _ in range(3)),
        bullets=[pb.TocBullet(text=texts.sentence(), grip_ids=[f"grip:{number:026}"]) for number in range(5)],
        keywords=[texts.topics()[0] for _ in range(7)],
        child_node_ids=[f"toc:segment:{number:026}" for number in range(12)],
    )
    return node.SerializeToString()


@contextmanager
def _site(redis_url: str) -> Iterator[Site]:
    with python_process("-m", "bench.bare_rpc", redis_url) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Site(f"http://127.0.0.1:{port}", lambda: {"grpc.aio": process.pid})
