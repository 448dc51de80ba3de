"""A figure beside another: of the server that came before, or of our own."""

import msgspec


class Comparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a figure is held against, and how it should come out.

    `rate` and `p50_ms` are of the other server, the middle of the range that was seen there; or `figure` names one of ours. Goals:
    at least `rate_times` its rate, at most `p50_times` its p50, a p50 of at most `p50_more_ms` more.
    """

    rate: float = 0.0
    p50_ms: float = 0.0
    figure: str = ""
    rate_times: float = 0.0
    p50_times: float = 0.0
    p50_more_ms: float = 0.0

    def __str__(self) -> str:
        parts = [f"≥ {self.rate_times:g}×"] if self.rate_times else []
        parts += [f"p50 ≤ {self.p50_times:g}×"] if self.p50_times else []
        parts += [f"p50 < {self.p50_more_ms:g} ms more"] if self.p50_more_ms else []
        return ", ".join(parts)

    def compared(self, rate: float, p50_ms: float | None, *, errors: int = 0) -> "Compared":
        """How these medians come out beside `rate` and `p50_ms`. A goal is not met where something failed, or cannot be told."""
        times = rate / self.rate if self.rate else None
        p50_times = p50_ms / self.p50_ms if self.p50_ms and p50_ms is not None else None
        more = p50_ms - self.p50_ms if self.p50_ms and p50_ms is not None else None
        reached = [
            reached
            for wanted, reached in (
                (self.rate_times, times is not None and times >= self.rate_times),
                (self.p50_times, p50_times is not None and p50_times <= self.p50_times),
                (self.p50_more_ms, more is not None and more < self.p50_more_ms),
            )
            if wanted
        ]
        met = (all(reached) and not errors) if reached else None
        return Compared(rate=self.rate, rate_times=times, p50_ms=self.p50_ms, p50_times=p50_times, p50_more_ms=more, met=met)


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """`rate` and `p50_ms` there (0: not known), and ours as multiples and as a difference. `met`: None without a goal."""

    rate: float
    rate_times: float | None
    p50_ms: float
    p50_times: float | None
    p50_more_ms: float | None
    met: bool | None
