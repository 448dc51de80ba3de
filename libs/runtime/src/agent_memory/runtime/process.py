"""How the process of a background service begins and ends."""

import asyncio
import sys
from collections.abc import Callable, Coroutine

import uvloop

from agent_memory.runtime import tracing
from agent_memory.runtime.logging import configure
from agent_memory.runtime.settings import Settings, SettingsError, load
from agent_memory.runtime.settings.dotenv import adopt_dotenv

WRONG_SETTINGS = 2


def start(service: str, serve: Callable[[Settings], Coroutine[None, None, None]]) -> None:
    """Run `serve` with the settings of the environment. A setting that cannot be used ends the process with one line and code 2."""
    adopt_dotenv()
    try:
        settings = load()
    except SettingsError as error:
        print(f"agent-memory {service}: {error}", file=sys.stderr)
        raise SystemExit(WRONG_SETTINGS) from None
    configure(settings, service)
    tracing.start(settings, service)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    finally:
        tracing.stop()
