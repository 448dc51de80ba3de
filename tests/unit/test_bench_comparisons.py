"""What the benchmarks say of a figure beside another."""

from bench.comparisons import Comparison
from bench.figures import Figure, Run


def figure(name: str, seconds: float, p50: float, *, comparison: Comparison | None = None, errors: int = 0) -> Figure:
    run = Run(seconds=seconds, requests=100, units=100, errors=errors, latency_ms={"p50": p50})
    return Figure(name=name, configuration="c", title="", unit="requests", clients=1, comparison=comparison, runs=[run])


def test_a_figure_is_a_multiple_of_what_it_is_held_against() -> None:
    found = figure("ours", 0.1, 2.0, comparison=Comparison(rate=100, p50_ms=8, rate_times=7, p50_times=0.4)).compared({})
    assert found is not None
    assert (found.rate_times, found.p50_times, found.p50_more_ms, found.met) == (10.0, 0.25, -6.0, True)


def test_every_goal_has_to_be_reached_and_nothing_may_fail() -> None:
    against = Comparison(rate=100, p50_ms=8, rate_times=7, p50_times=0.4)
    assert [
        figure("ours", 0.1, 4.0, comparison=against).compared({}),
        figure("ours", 0.2, 2.0, comparison=against).compared({}),
    ] == [
        against.compared(1000, 4.0),
        against.compared(500, 2.0),
    ]
    assert [against.compared(1000, 4.0).met, against.compared(500, 2.0).met, against.compared(1000, 2.0, errors=1).met] == [
        False
    ] * 3


def test_a_figure_can_be_held_against_another_of_the_same_report() -> None:
    against = Comparison(figure="open", p50_more_ms=0.2)
    measured = {"open": figure("open", 0.1, 1.0)}
    near, far = figure("token", 0.1, 1.125, comparison=against), figure("token", 0.1, 1.25, comparison=against)
    assert [one.met for each in (near, far) if (one := each.compared(measured))] == [True, False]


def test_without_the_other_figure_or_a_goal_nothing_is_said() -> None:
    assert figure("token", 0.1, 1.0, comparison=Comparison(figure="open", p50_more_ms=0.2)).compared({}) is None
    assert figure("alone", 0.1, 1.0).compared({}) is None
    assert Comparison(rate=100).compared(500, 1.0).met is None
