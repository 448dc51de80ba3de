"""The spool loses nothing, and what is in it is delivered once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_memory.cli.hooks.delivery import Deadline, Server, deliver, flush
from agent_memory.cli.hooks.spool import Report, Spool
from agent_memory.client import Event
from agent_memory.embedded.ports import free_port
from support.small_timeline import SmallTimeline, small_timeline


def report(*ids: str, namespace: str | None = None) -> Report:
    return Report(events=[Event(event_id=name, session_id="s", timestamp_ms=1, text=name) for name in ids], namespace=namespace)


def server_of(service: SmallTimeline) -> Server:
    return Server(endpoint=service.endpoint)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool([tmp_path / "spool"])


def test_what_is_kept_is_read_back_in_order_and_gone_when_done(spool: Spool) -> None:
    files = [spool.keep(report(name, namespace="work")) for name in ("a", "b", "c")]
    assert spool.waiting() == sorted(files)
    assert spool.read(files[0]) == report("a", namespace="work")
    spool.done(files[0])
    spool.done(files[0])
    assert spool.read(files[0]) is None
    assert spool.waiting() == sorted(files[1:])


def test_where_the_home_cannot_be_written_another_folder_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool([tmp_path / "file" / "spool", tmp_path / "other"])
    kept = spool.keep(report("a"))
    assert kept.parent == tmp_path / "other"
    assert spool.waiting() == [kept]
    with pytest.raises(OSError, match="file"):
        Spool([tmp_path / "file" / "spool"]).keep(report("a"))


@pytest.mark.parametrize(
    ("meant", "named", "goes"),
    [
        ("", "", True),
        ("http://localhost:7", "", True),
        ("", "http://[::1]:9", True),
        ("https://Work.example:7", "http://work.example:9", True),
        ("nonsense://x", "", True),
        ("https://work.example", "", False),
        ("", "https://work.example", False),
        ("https://work.example", "https://home.example", False),
    ],
)
def test_what_was_meant_for_another_machine_waits_for_it(spool: Spool, meant: str, named: str, goes: bool) -> None:
    spool.keep(msgspec.structs.replace(report("a"), endpoint=meant))
    with small_timeline() as service:
        outcome = flush(spool, Server(endpoint=service.endpoint, named=named), 5)
        assert (outcome.delivered, outcome.left, list(service.events)) == ((1, 0, ["a"]) if goes else (0, 1, []))
        assert outcome.why == ("" if goes else f"what waits is for {meant or 'the stack of this home'}")
        flush(spool, Server(endpoint=service.endpoint, named=named, takes_all=True), 5)
        assert (list(service.events), spool.waiting()) == (["a"], [])


def test_what_waits_is_delivered_with_its_scope_and_once(spool: Spool) -> None:
    for namespace, name in ((None, "a"), (None, "b"), ("work", "c")):
        spool.keep(report(name, namespace=namespace))
    with small_timeline() as service:
        first = flush(spool, server_of(service), 5)
        second = flush(spool, server_of(service), 5)
        namespaces = [metadata.get("x-namespace") for metadata in service.metadata_of("IngestEvents")]
    assert (first.delivered, first.left, second.delivered) == (3, 0, 0)
    assert sorted(service.events) == ["a", "b", "c"]
    assert set(namespaces) == {None, "work"}
    assert spool.waiting() == []


def test_a_part_that_is_down_leaves_the_report_for_the_next_time(spool: Spool) -> None:
    spool.keep(report("a"))
    with small_timeline() as service:
        service.failures = [(grpc.StatusCode.UNAVAILABLE, "the log is down")]
        first = flush(spool, server_of(service), 5)
        second = flush(spool, server_of(service), 5)
    assert (first.delivered, first.left, first.why) == (0, 1, "the log is down")
    assert (second.delivered, second.left) == (1, 0)


def test_one_that_is_refused_is_set_aside_with_the_reason_and_keeps_nobody_waiting(spool: Spool) -> None:
    for name in ("a", "bad", "c"):
        spool.keep(report(name))
    (spool.folders[0] / "00000000000000000000000000.json").write_bytes(b'{"events": [{"even')
    with small_timeline() as service:
        service.refuses = lambda event: event.event_id == "bad"
        outcome = flush(spool, server_of(service), 5)
    assert (outcome.delivered, outcome.refused, outcome.left) == (2, 2, 0)
    assert sorted(service.events) == ["a", "c"]
    torn, refused = spool.refused()
    assert b'"bad"' in refused.read_bytes()
    assert "Invalid timestamp" in refused.with_name(refused.name + ".reason").read_text()
    assert "not a report" in torn.with_name(torn.name + ".reason").read_text()


def test_one_that_this_credential_may_not_report_keeps_those_of_other_places_not_waiting(spool: Spool) -> None:
    for namespace, name in (("old", "a"), ("Büro", "c"), ("work", "b")):
        spool.keep(report(name, namespace=namespace))
    with small_timeline() as service:
        service.refuses_namespace = "old"
        outcome = flush(spool, server_of(service), 5)
    assert (outcome.delivered, outcome.left) == (1, 2)
    assert "only ASCII can" in outcome.why
    assert sorted(service.events) == ["b"]
    assert [spool.read(file) for file in spool.waiting()] == [report("a", namespace="old"), report("c", namespace="Büro")]


def test_nobody_listening_leaves_everything_and_loads_no_network_library(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from agent_memory.cli.hooks.delivery import Server, flush
from agent_memory.cli.hooks.spool import Report, Spool
from agent_memory.client import Event
spool = Spool([Path({str(tmp_path)!r})])
spool.keep(Report(events=[Event(event_id="a", session_id="s", timestamp_ms=1)]))
print(flush(spool, Server(endpoint="http://127.0.0.1:{free_port()}"), 5).left)
print(sorted({{"grpc", "httpx", "litestar", "psycopg", "numpy", "redis", "typer", "rich", "asyncio"}} & set(sys.modules)))
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split("\n")[:2] == ["1", "[]"]


def test_no_more_is_sent_than_there_is_time_for(spool: Spool) -> None:
    spool.keep(report("a"))
    with small_timeline() as service:
        outcome = deliver(spool, spool.waiting(), server_of(service), Deadline(0))
    assert (outcome.delivered, outcome.left, outcome.why) == (0, 1, "there was no time left")


@given(st.lists(st.sampled_from(["keep", "flush", "down", "refuse", "twice"]), max_size=12))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_happens_each_report_is_delivered_once_or_waits(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    spool = Spool([tmp_path_factory.mktemp("spool")])
    kept: list[str] = []
    with small_timeline() as service:
        for number, step in enumerate(steps):
            if step == "keep":
                kept.append(f"e{number}")
                spool.keep(report(kept[-1]))
            elif step == "refuse":
                kept.append(f"refused{number}")
                service.refuses = lambda event: event.event_id.startswith("refused")
                spool.keep(report(kept[-1]))
            elif step == "down":
                service.failures = [(grpc.StatusCode.UNAVAILABLE, "down")]
                flush(spool, server_of(service), 5)
                service.failures = []
            else:
                waiting = spool.waiting()
                deliver(spool, waiting, server_of(service), Deadline(5))
                if step == "twice":
                    deliver(spool, waiting, server_of(service), Deadline(5))
        waiting_now = [name for file in spool.waiting() for name in [spool.read(file).events[0].event_id]]  # type: ignore[union-attr]
    aside = [spool.read(file).events[0].event_id for file in spool.refused()]  # type: ignore[union-attr]
    assert sorted([*service.events, *waiting_now, *aside]) == sorted(kept)


def test_a_writer_killed_at_any_moment_leaves_whole_reports_or_none(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from agent_memory.cli.hooks.spool import Report, Spool
from agent_memory.client import Event
spool = Spool([Path({str(tmp_path)!r})])
event = Event(event_id="e", session_id="s", timestamp_ms=1, text="x" * 100_000)
while True:
    print(spool.keep(Report(events=[event])).name, flush=True)
"""
    acknowledged: list[str] = []
    for patience in range(1, 6):
        writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert writer.stdout
        acknowledged += [writer.stdout.readline().strip() for _ in range(patience * 3)]
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
    spool = Spool([tmp_path])
    waiting = spool.waiting()
    assert {file.name for file in waiting} >= set(acknowledged)
    assert all(spool.read(file) for file in waiting)
