"""Copies sessions and memories from one server to another over their REST API: for moving here, or back.

    python docs/copy_memories.py FROM_URL TO_URL [NAMESPACE …]

Without namespaces everything is copied. Doing it again changes nothing. `FROM_TOKEN` and `TO_TOKEN` in the environment are sent as
bearer tokens. The source is only read.
"""

import asyncio
import os
import sys
from typing import Any

import httpx

PAGE = 100
ROUNDS = 20
"""Most times that all memories are read: a list without an order shows some twice and some not at all, until nothing new comes."""


class Copied:
    """What was done. `missed`: ids that several sessions have, by user or namespace: the source does not tell them apart."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.memories: set[str] = set()
        self.missed: set[str] = set()


async def copy(source: httpx.AsyncClient, target: httpx.AsyncClient, namespaces: list[str]) -> Copied:
    """Copies what the namespaces hold, or everything. Raises httpx.HTTPStatusError for what one of the servers refuses."""
    done = Copied()
    for namespace in namespaces or [None]:
        await _sessions(source, target, namespace, done)
        await _memories(source, target, namespace, done)
    return done


async def _sessions(source: httpx.AsyncClient, target: httpx.AsyncClient, namespace: str | None, done: Copied) -> None:
    within = {"namespace": namespace} if namespace else {}
    offset, page = 0, [""]
    while page:
        listed = await source.get("/v1/working-memory/", params={"limit": PAGE, "offset": offset, **within})
        page = _answer(listed)["sessions"]
        for session_id in page:
            path = f"/v1/working-memory/{session_id}"
            found = await source.get(path, params=within)
            if found.status_code == 404:
                done.missed.add(session_id)
                continue
            _answer(await target.put(path, json=_answer(found)))
            done.sessions.add(session_id)
        offset += len(page)


async def _memories(source: httpx.AsyncClient, target: httpx.AsyncClient, namespace: str | None, done: Copied) -> None:
    within = {"namespace": {"eq": namespace}} if namespace else {}
    for _ in range(ROUNDS):
        before, offset, page = len(done.memories), 0, [{}]
        while page:
            wanted = {"text": "", "limit": PAGE, "offset": offset, **within}
            page = _answer(await source.post("/v1/long-term-memory/search", json=wanted))["memories"]
            fresh = [memory for memory in page if memory["id"] not in done.memories]
            if fresh:
                _answer(await target.post("/v1/long-term-memory/", json={"memories": fresh, "deduplicate": False}))
            done.memories.update(memory["id"] for memory in fresh)
            offset += len(page)
        if len(done.memories) == before:
            return


def _answer(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json()


def _client(url: str, token: str | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=60.0, headers={"Authorization": f"Bearer {token}"} if token else {})


async def main(source_url: str, target_url: str, namespaces: list[str]) -> None:
    """Copies, and says how much."""
    async with (
        _client(source_url, os.environ.get("FROM_TOKEN")) as source,
        _client(target_url, os.environ.get("TO_TOKEN")) as target,
    ):
        done = await copy(source, target, namespaces)
    print(f"{len(done.sessions)} sessions, {len(done.memories)} memories")
    for session_id in sorted(done.missed - done.sessions):
        print(f"not copied: session {session_id}; it has ended, or several have this id: name its namespace")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
