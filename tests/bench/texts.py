"""Sentences as developers and their assistants write them: no two alike, because equal texts have equal vectors."""

import random
import re
from functools import cache
from importlib.resources import files

import msgspec


def _phrases(joined: str) -> tuple[str, ...]:
    return tuple(joined.split("|"))


TOPICS = _phrases("deployment|database|testing|billing|search|frontend|security|travel|food|family|music|work")
_WHO = _phrases(
    "Maya|Tom|the assistant|our team|Priya|the customer|Jonas|the on-call engineer|my sister|Elena|the reviewer|Kenji|"
    "the contractor|Fatima|the new hire|Oskar|the vendor|Lucía|the product owner|Hanne"
)
_DID = _phrases(
    "decided to migrate|finally fixed|keeps asking about|prefers|no longer uses|wrote a script for|postponed|rolled back|"
    "complained about|documented|wants to replace|scheduled|benchmarked|forgot to renew|is learning about|automated|"
    "moved away from|reviewed|paid for|is worried about|approved|cancelled|found a bug in|borrowed|explained"
)
_WHAT = _phrases(
    "the Postgres replica|the nightly export|a vegetarian restaurant|the Kubernetes cluster|the invoice template|"
    "unit tests of the parser|the login page|TLS certificates|the train to Lisbon|piano lessons|the search index|"
    "Redis streams|the mobile app|a garden shed|the retry policy|the onboarding guide|a second monitor|the payment gateway|"
    "flaky integration tests|the schema of orders|the coffee machine|the release notes|dark mode|an espresso grinder|"
    "the GraphQL endpoint|the backup of photos|a bicycle tour|the cache of thumbnails|rate limits|the quarterly report"
)
_WHY = _phrases(
    "because it was too slow|after the outage|before the holidays|although nobody asked|since the contract ends|"
    "to save money|so that the tests pass again|when the memory ran out|as agreed in the meeting|because of an allergy|"
    "after reading the incident report|until the audit is done|to keep the weekend free|with help from support|"
    "despite the deadline|as the old one broke|without telling anyone|because the docs were wrong|"
    "for the second time this month|while waiting for the review"
)
_WHERE = _phrases(
    "staging|production|Berlin|the office|room {n}|ticket {n}|branch fix-{n}|port {n}|build {n}|invoice {n}|the {n} euro budget"
)


@cache
def fragments() -> tuple[str, ...]:
    """Clauses of three to twelve words from the sample history: a vocabulary like life's, in clauses of any length."""
    lines = (files("agent_memory.cli.sample") / "history.jsonl").read_text().splitlines()
    texts = [msgspec.json.decode(line).get("text") or "" for line in lines]
    clauses = [" ".join(clause.split()) for text in texts for clause in re.split(r"[.!?;,:()\n`]+", text)]
    return tuple(sorted({clause for clause in clauses if 3 <= len(clause.split()) <= 12}))


class Texts:
    """A source of texts that never repeats itself. Equal seeds give equal texts."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0
        self._salt = seed % 46_656

    def sentence(self) -> str:
        """About 110 characters."""
        pick = self._random.choice
        self._count += 1
        where = pick(_WHERE).format(n=self._random.randrange(100, 9_000))
        mark = f"{_letters(self._salt)}{_letters(self._count)}"
        return f"{pick(_WHO).capitalize()} {pick(_DID)} {pick(_WHAT)} ({where}, {mark}): {pick(fragments())}."

    def message(self) -> str:
        """About 200 characters."""
        pick = self._random.choice
        return f"{self.sentence()} {pick(fragments())}, {pick(_WHY)}; {pick(fragments())}."

    def topics(self) -> list[str]:
        """Two of the topics."""
        return self._random.sample(TOPICS, 2)

    def question(self) -> str:
        """What somebody would search for: some 50 characters."""
        pick = self._random.choice
        self._count += 1
        return f"{pick(_WHAT)} {pick(fragments())} {_letters(self._count)}"


def _letters(number: int) -> str:
    """A number as a word."""
    digits = ""
    while True:
        number, rest = divmod(number, 26)
        digits = chr(97 + rest) + digits
        if not number:
            return digits
