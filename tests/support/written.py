"""Waiting until the table of contents is as it stays: it is written anew in the background, and two reads of it may differ."""

import httpx
from redis import Redis

from agent_memory.readmodels.due import AT, HELD
from support.controls import wait_until_now


def until_all_is_written(url: str, redis_url: str) -> None:
    """Returns when every view of a system shows all of its log, and nothing more is to be written about the contents.

    `url` is that of a gateway that asks for no credential.
    """
    with httpx.Client(base_url=url, timeout=30) as http, Redis.from_url(redis_url) as redis:

        def shown_up_to() -> int | None:
            status = http.get("/v1/status").raise_for_status().json()
            head: int = status["head"]
            return head if all(one["lag"] == 0 for one in status["projections"]) else None

        def written() -> bool:
            # What is recorded between the looks may call for more: then it is too early to tell.
            head = shown_up_to()
            return head is not None and not redis.exists(AT, HELD) and shown_up_to() == head

        wait_until_now(written, "all that was recorded is shown and written about")
