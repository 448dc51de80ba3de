"""`memory-ingest`: reads what a hook says on standard input, and never stands in the way of who runs it.

It always answers {"continue":true} and exits with 0 within a second. What a hook said is on disk before the first attempt to
deliver it, and stays there until it was delivered: by this run, by what goes on after it when the time was too short, by a
later one, by `agent-memory hooks flush`, or when the stack starts.
"""

import os
import select
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent_memory.cli.daemon.settings import BadConfig, DaemonSettings, load_settings
from agent_memory.cli.hooks.delivery import Deadline, connected, deliver, server_of, tell
from agent_memory.cli.hooks.reports import NoReport, event_of, fitting, report_of, reports_of
from agent_memory.cli.hooks.spool import Report, Spool, spool_of
from agent_memory.cli.importers.items import MAX_TEXT_BYTES
from agent_memory.client.toc import Event

ANSWER = b'{"continue":true}\n'
SECONDS = 0.75
"""From the start of the process to its end, whatever happens; MEMORY_HOOK_SECONDS for agents with more patience."""
LISTENING, DELIVERING = 0.35, 0.47
"""The parts of it in which to listen and to deliver."""
GRACE_SECONDS = 3.0
"""How much later it may become on a machine so busy that the report is not on disk by then: late is better than lost."""
_TURN_ENDS = frozenset({"Stop", "SessionEnd"})


def main() -> None:
    """The program."""
    seconds = patience(os.environ.get("MEMORY_HOOK_SECONDS", ""))
    kept = threading.Event()
    threading.Thread(target=_give_up_in_time, args=(seconds, kept), daemon=True).start()
    _answer()
    try:
        remember(_listen(seconds * LISTENING), sys.argv[1:], seconds * DELIVERING, kept.set)
    except Exception as error:  # noqa: BLE001 (whatever is wrong here must not stop an agent)
        _say(f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def patience(given: str) -> float:
    """Seconds in all: what was given, where it is a number of at most a minute; else SECONDS."""
    try:
        seconds = float(given)
    except ValueError:
        return SECONDS
    return seconds if 0 < seconds <= 60 else SECONDS


def remember(raw: bytes, arguments: list[str], seconds: float, kept: Callable[[], None]) -> None:
    """Keeps what a hook said, calls `kept`, and delivers it within so many seconds.

    Raises OSError when it can be neither kept nor delivered.
    """
    if not raw.strip():
        return
    settings = _settings()
    spool = spool_of(os.environ, settings.home(os.environ).path)
    agent = next((after for name, after in pairwise(arguments) if name == "--agent"), None)
    try:
        events = events_of(raw, time.time_ns() // 1_000_000, agent)
    except NoReport as reason:
        beginning = raw[:MAX_TEXT_BYTES]
        cut = "" if beginning == raw else f"; these are the first of {len(raw)} bytes"
        _say(f"{reason}; kept in {spool.keep_unreadable(beginning, f'{reason}{cut}')}")
        return
    if events:
        mine = Report(events=events, namespace=settings.namespace, user_id=settings.user_id, endpoint=settings.endpoint)
        _deliver(spool, mine, settings, seconds, kept)


def events_of(raw: bytes, now_ms: int, agent: str | None) -> list[Event]:
    """What a hook reports, oldest first; at the end of a turn, what the assistant said in it too. Raises NoReport."""
    return [event for told in reports_of(raw) for event in _told(told, now_ms, agent)]


def _told(told: dict[str, Any], now_ms: int, agent: str | None) -> list[Event]:
    event = event_of(told, now_ms, agent)
    if event is None:
        return []
    if told["hook_event_name"] not in _TURN_ENDS:
        return [event]
    return [*_answers(told, event), event]


def _answers(told: dict[str, Any], end: Event) -> list[Event]:
    # Loaded at the end of a turn alone: no other hook needs to read transcripts.
    from agent_memory.cli.hooks.transcripts import Turn, last_turn  # noqa: PLC0415

    place = told.get("transcript_path")
    try:
        turn = last_turn(Path(place).expanduser() if isinstance(place, str) and place else None, end.session_id, end.agent)
    except (OSError, ValueError, RuntimeError) as error:
        # What a hook says may be no path at all.
        _say(f"{place!r} cannot be read: {error}")
        turn = Turn(end.session_id, end.agent)
    last = told.get("last_assistant_message")
    if isinstance(last, str) and last.strip() and not turn.says(last):
        # The transcript is not that far yet. Where a later hook reads it there, it is the same event.
        turn.add(fitting(last), end.timestamp_ms - 1, {})
    return turn.answers


def _deliver(spool: Spool, report: Report, settings: DaemonSettings, seconds: float, kept: Callable[[], None]) -> None:
    deadline = Deadline(seconds)
    try:
        mine = spool.keep(report)
    except OSError as error:
        _say(f"nothing can be kept here: {error}")
        with connected(server_of(settings, os.environ), (report.namespace, report.user_id), deadline.left()) as timeline:
            tell(timeline, report.events)
        return
    kept()
    server = server_of(settings, os.environ)
    outcome = deliver(spool, [mine], server, deadline)
    if outcome.delivered:
        # Somebody listens: what waits from before goes now, as much as there is time for.
        outcome = deliver(spool, spool.waiting(), server, deadline)
    if outcome.left and deadline.over():
        _go_on()
    if outcome.why:
        _say(f"{outcome.left} waiting in {mine.parent}: {outcome.why}")


def _settings() -> DaemonSettings:
    """What holds; where the file or the environment cannot be used, what is left without it."""
    for file in (None, Path(os.devnull)):
        try:
            return load_settings(os.environ, file)
        except BadConfig as error:
            _say(f"{error}; going on without it")
    return DaemonSettings()


def _listen(seconds: float) -> bytes:
    """Standard input to its end, or as much as comes in this time: some agents leave it open."""
    deadline = Deadline(seconds)
    said = bytearray()
    while select.select([0], [], [], deadline.left())[0]:
        piece = os.read(0, 1_048_576)
        if not piece:
            break
        said += piece
        if said.endswith(b"}\n") and _is_whole(bytes(said)):
            break
    return bytes(said)


def _is_whole(said: bytes) -> bool:
    try:
        report_of(said)
    except NoReport:
        return False
    return True


def _answer() -> None:
    try:
        os.write(1, ANSWER)
    except OSError as error:
        _say(f"nobody reads the answer: {error.strerror}")


def _say(text: str) -> None:
    """For people who look: agents show standard error when asked to."""
    try:
        os.write(2, f"memory-ingest: {text}\n".encode(errors="replace"))
    except OSError:
        # There is nobody left to tell.
        return


def _give_up_in_time(seconds: float, kept: threading.Event) -> None:
    time.sleep(max(0.0, seconds - _age()))
    if kept.wait(GRACE_SECONDS):
        _go_on()
    os._exit(0)


def _go_on() -> None:
    """Have what was kept delivered by a process of its own."""
    from agent_memory.cli.hooks.later import go_on  # noqa: PLC0415

    try:
        go_on()
    except OSError as error:
        _say(f"nothing can be started: {error.strerror}; the next hook delivers what waits")


def _age() -> float:
    """Seconds since this process was started, where the system tells; else what an interpreter usually takes."""
    try:
        with open("/proc/self/stat", "rb") as opened:
            started = int(opened.read().rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError):
        return 0.15


if __name__ == "__main__":
    main()
