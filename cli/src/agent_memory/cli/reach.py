"""Where the servers are that a command looks into."""

from collections.abc import Mapping

import msgspec

from agent_memory.cli.output import CommandError
from agent_memory.embedded.home import Home, home_path
from agent_memory.embedded.state import read_state

NOT_RUNNING = 3


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """URLs of the log's database and of Redis. They carry passwords. `views_url`: empty, or the Redis of working memory alone."""

    database_url: str
    redis_url: str
    views_url: str = ""


def servers(environment: Mapping[str, str]) -> Servers:
    """DATABASE_URL and REDIS_URL when set, else those of the stack that runs in AGENT_MEMORY_HOME.

    Raises CommandError (code 3) when neither is there.
    """
    database_url, redis_url = environment.get("DATABASE_URL", ""), environment.get("REDIS_URL", "")
    views_url = environment.get("WORKING_MEMORY_REDIS_URL", "")
    if not (database_url and redis_url):
        home = Home(path=home_path(environment))
        state = read_state(home)
        if state is None or not state.alive:
            raise CommandError(
                f"nothing runs in {home.path}",
                hint="`agent-memory up --detach` starts it; or set DATABASE_URL and REDIS_URL",
                code=NOT_RUNNING,
            )
        database_url, redis_url = database_url or state.database_url, redis_url or state.redis_url
        views_url = views_url or state.working_memory_redis_url
    return Servers(database_url=database_url, redis_url=redis_url, views_url=views_url)
