"""Writes over HTTP, and the reads of working memory."""

from bench.figures import Run
from bench.measuring import measure
from bench.plan import Turn
from bench.sites import Site

DRAIN_SECONDS = 90.0


def events(site: Site, turn: Turn, *, count: int, clients: int, drain: bool) -> Run:
    """One event a request."""
    job = turn.job(site, "events", count=turn.count(count), clients=clients)
    return measure(site, job, drain_seconds=DRAIN_SECONDS if drain else 0.0)


def event_batches(site: Site, turn: Turn, *, count: int, clients: int, drain: bool) -> Run:
    """100 events a request; units are events."""
    job = turn.job(site, "event-batches", count=turn.count(count), clients=clients, size=100)
    return measure(site, job, per_request=job.size, drain_seconds=DRAIN_SECONDS if drain else 0.0)


def put(site: Site, turn: Turn, *, count: int, clients: int, drain: bool) -> Run:
    """New sessions of 20 messages."""
    job = turn.job(site, "put", count=turn.count(count), clients=clients, size=20)
    return measure(site, job, drain_seconds=DRAIN_SECONDS if drain else 0.0)


def get(site: Site, turn: Turn, *, count: int, clients: int, sessions: int = 200, token: str = "") -> Run:
    """Sessions of 20 messages, made beforehand and indexed before they are read."""
    made = turn.job(site, "put", count=sessions, clients=4, size=20, warm=0, token=token)
    measure(site, made, drain_seconds=DRAIN_SECONDS)
    return measure(site, turn.job(site, "get", count=turn.count(count), clients=clients, size=sessions, token=token))


def append(site: Site, turn: Turn, *, count: int, length: int) -> Run:
    """One message onto sessions of `length` messages; short sessions take turns, so that they stay short."""
    count = turn.count(count)
    sessions = max(1, min(count // 4, 1_000 // length))
    if sessions > 1:
        prepared = turn.job(site, "put", count=sessions, clients=4, size=length, warm=0)
    else:
        prepared = turn.job(site, "grow", count=-(-length // 500), clients=1, size=length, warm=0)
    measure(site, prepared, drain_seconds=DRAIN_SECONDS)
    return measure(site, turn.job(site, "append", count=count, clients=1, size=sessions, warm=max(10, sessions)))
