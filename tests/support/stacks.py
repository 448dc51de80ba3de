"""Whole stacks for tests that ask somebody's questions of one, and harm none of its parts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agent_memory.embedded.supervisor import Stack
from support.forks import fork
from support.servers import Servers, fresh_database, stack_environment, temporary_home


@contextmanager
def running_stack(servers: Servers, replicas: Mapping[str, int] | None = None, /, **environment: str) -> Iterator[Stack]:
    """A stack of its own home, Redis and services; its log is a new database of the session's Postgres.

    It takes a second of a processor where one that imports and makes everything for itself takes seven. Models are not loaded.
    """
    with temporary_home() as home, fresh_database(servers) as url:
        given = stack_environment(**{"EMBEDDING_MODEL": "hash", "DATABASE_URL": url, **environment})
        with Stack(home, environment=given, replicas=replicas, spawn=fork) as stack:
            yield stack
