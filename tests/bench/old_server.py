"""Beside the Redis agent memory server, as it was measured: a stub for models, 1,000 memories, no authentication.

Its figures are ranges, seen on a machine with two cores with one API process and nothing durable. What is held against is their
middle: search 96 to 165 a second, p50 alone 7 to 10 ms and 205 ms at 32 clients; memory prompt 92 to 135 a second; memories made
searchable with deduplication 45 to 90 a second; PUT of 20 messages 500 to 690 a second, p50 alone 1.1 to 1.7 ms and 40 to 53 ms at
32 clients; GET 1,250 a second. A prompt's p50 alone is not known; it is held against that of the search which is part of it.
"""

from functools import partial
from typing import Literal

from bench import gateways, searches, writes
from bench.comparisons import Comparison
from bench.plan import Configuration, Measurement
from bench.sites import stack_site

SMALL, LARGE, DIMENSIONS = 1_000, 10_000, 1536
REPLY = '{"topics": ["work"], "entities": ["Maya"], "memories": [], "summary": "Nothing that matters."}'
"""What the stub answers whatever it is asked for."""
SETTINGS = {"EXTRACTION_DEBOUNCE_SECONDS": "3600"}
"""Else the sessions of one run would be read by the model during another."""

SEARCH = {
    1: Comparison(p50_ms=8.5, p50_times=0.4),
    32: Comparison(rate=130.5, p50_ms=205, rate_times=7),
}
PROMPT = {
    1: Comparison(p50_ms=8.5, p50_times=0.4),
    32: Comparison(rate=113.5, rate_times=7),
}
PUT = {
    1: Comparison(p50_ms=1.4),
    32: Comparison(rate=595, p50_ms=46.5, rate_times=2),
}
GET = Comparison(rate=1_250, rate_times=4.5)
STORED = Comparison(rate=67.5, rate_times=15)
LARGER_P50_TIMES, LARGER_RATE_TIMES = 1.3, round(1 / 1.3, 2)
TOKEN_MS = 0.2
COUNTS = {1: 1_000, 32: 4_000}


def configurations() -> list[Configuration]:
    """In the order in which they are run: that of 10,000 memories is held against that of 1,000."""
    small = partial(stack_site, DIMENSIONS, reply=REPLY, **SETTINGS)
    return [
        Configuration(
            name="old-server",
            title="As the Redis agent memory server was measured: 1,000 memories, embeddings and completions from a stub",
            open=small,
            prepare=partial(searches.corpus, count=SMALL),
            measurements=[*_searches(""), *_prompts(), _stored(), _get(), *_puts()],
        ),
        Configuration(
            name="old-server-10k",
            title="The same with 10,000 memories",
            open=small,
            prepare=partial(searches.corpus, count=LARGE),
            measurements=_searches("-10k"),
        ),
        Configuration(
            name="old-server-auth",
            title="The same with 1,000, by a gateway without authentication and one with AUTH_MODE=token",
            open=partial(gateways.open_and_token, small),
            prepare=partial(gateways.corpus, count=SMALL),
            measurements=[*_authenticated("get", 3_000), *_authenticated("search", 1_500)],
            in_turn=True,
        ),
    ]


def _searches(suffix: Literal["", "-10k"]) -> list[Measurement]:
    beside = {
        1: Comparison(figure="old-search-1", p50_times=LARGER_P50_TIMES),
        32: Comparison(figure="old-search-32", rate_times=LARGER_RATE_TIMES),
    }
    return [
        Measurement(
            name=f"old-search{suffix}-{clients}",
            title=f"Semantic search over {LARGE if suffix else SMALL:,} memories",
            clients=clients,
            comparison=(beside if suffix else SEARCH)[clients],
            run=partial(searches.search, count=count, clients=clients, mode="semantic"),
        )
        for clients, count in COUNTS.items()
    ]


def _prompts() -> list[Measurement]:
    return [
        Measurement(
            name=f"old-prompt-{clients}",
            title="Memory prompt: a session of 20 messages and a search",
            clients=clients,
            comparison=PROMPT[clients],
            run=partial(searches.prompt, count=count, clients=clients),
        )
        for clients, count in COUNTS.items()
    ]


def _stored() -> Measurement:
    return Measurement(
        name="old-stored",
        title="Memories made searchable with deduplication, POSTs of 100",
        unit="memories",
        clients=4,
        comparison=STORED,
        run=partial(searches.searchable, count=2_000, drain_seconds=120),
    )


def _get() -> Measurement:
    return Measurement(
        name="old-get-32",
        title="Working memory: GET of 20 messages",
        clients=32,
        comparison=GET,
        run=partial(writes.get, count=24_000, clients=32),
    )


def _puts() -> list[Measurement]:
    return [
        Measurement(
            name=f"old-put-{clients}",
            title="Working memory: PUT of 20 messages, new sessions",
            clients=clients,
            comparison=PUT[clients],
            run=partial(writes.put, count=count, clients=clients, drain=True),
        )
        for clients, count in {1: 400, 32: 2_000}.items()
    ]


def _authenticated(what: Literal["get", "search"], count: int) -> list[Measurement]:
    title = {"get": "Working memory: GET of 20 messages", "search": "Semantic search over 1,000 memories"}[what]
    return [
        Measurement(
            name=f"old-{what}-{mode}",
            title=f"{title}, {'with a token' if mode == 'token' else 'open'}",
            comparison=Comparison(figure=f"old-{what}-open", p50_more_ms=TOKEN_MS) if mode == "token" else None,
            run=partial(gateways.get if what == "get" else gateways.search, count=count, mode=mode),
        )
        for mode in gateways.MODES
    ]
