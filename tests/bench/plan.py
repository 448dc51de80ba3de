"""The words in which the catalogue is written: configurations, their measurements, and the turn of a run."""

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from bench.comparisons import Comparison
from bench.figures import Goal, Run
from bench.sites import Site
from bench.workloads import Job


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one measurement. `scale` shrinks counts; no two turns share a text or an id."""

    name: str
    number: int
    seed: int
    scale: float

    def count(self, full: int) -> int:
        """How many of something at this scale."""
        return max(1, round(full * self.scale))

    def hundreds(self, full: int) -> int:
        """How many requests of a hundred."""
        return max(1, round(full * self.scale / 100))

    def job(self, site: Site, workload: str, *, count: int, clients: int = 1, **given: Any) -> Job:
        """A job of this turn. It is warmed up by a tenth as much beforehand unless `warm` says otherwise."""
        own = zlib.crc32(f"{self.seed}/{self.name}/{self.number}/{workload}".encode())
        job = Job(workload=workload, host=site.host, port=site.port, tag=f"{self.name}-{self.number}", seed=own, count=count)
        return msgspec.structs.replace(job, **{"clients": clients, "warm": max(count // 10, clients), **given})


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Something to measure in an open configuration (a `Site`, or `Floors`)."""

    name: str
    title: str
    run: Callable[[Any, Turn], Run]
    unit: str = "requests"
    clients: int = 1
    goal: Goal | None = None
    floor: str = ""
    comparison: Comparison | None = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is opened once for all its measurements. `prepare` comes before the first of them.

    `in_turn`: the first run of each, then the second of each, so that what is compared is measured side by side.
    """

    name: str
    title: str
    open: Callable[[], AbstractContextManager[Any]]
    measurements: list[Measurement]
    prepare: Callable[[Any, Turn], object] = lambda site, turn: None
    in_turn: bool = False
