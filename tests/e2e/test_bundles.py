"""`agent-memory export` and `import` between two systems that run: one open, one that asks for tokens."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agent_memory.cli.sample import history
from agent_memory.embedded.supervisor import Stack
from support.controls import wait_until_now
from support.forks import python
from support.servers import Servers, stack_environment
from support.stacks import running_stack
from support.typed import Typed


class End:
    """A stack, and the commands and requests that are sent to it."""

    def __init__(self, stack: Stack) -> None:
        self.environment = stack_environment(
            AGENT_MEMORY_URL=stack.http_urls[0], DATABASE_URL=stack.database_url, REDIS_URL=stack.redis_url
        )
        self.http = httpx.Client(base_url=stack.http_urls[0], timeout=30)

    def run(self, *arguments: str, code: int = 0, given: bytes | None = None, **environment: str) -> tuple[str, str]:
        argv = python("agent_memory.cli.main", *arguments)
        environment = {**self.environment, **environment}
        done = subprocess.run(argv, env=environment, input=given, capture_output=True, check=False, timeout=120)
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode(), done.stderr.decode()

    def json(self, *arguments: str, **environment: str) -> Any:
        return json.loads(self.run(*arguments, "--json", **environment)[0])

    def token(self, scope: str, *more: str) -> str:
        made: str = json.loads(self.run("token", "add", "-d", scope, "--scope", scope, "--format", "json", *more)[0])["token"]
        return made

    def use(self, token: str) -> None:
        self.environment["AGENT_MEMORY_TOKEN"] = token
        self.http.headers["authorization"] = f"Bearer {token}"

    def caught_up(self) -> None:
        def done() -> bool:
            return all(one["lag"] == 0 for one in self.http.get("/v1/status").json()["projections"])

        wait_until_now(done, "every view caught up", timeout=60)

    def seen(self) -> dict[str, Any]:
        self.caught_up()
        search = {"text": "what is known about boats", "limit": 10}
        found = self.http.post("/v1/long-term-memory/search", json=search).json()["memories"]
        timeline = {"text": "seat hold", "limit": 5, "namespace": "work", "user_id": "nadia"}
        said = self.http.post("/v1/timeline/search", json=timeline).json()["events"]
        session = self.http.get("/v1/working-memory/s", params={"user_id": "anna"}).json()
        years = self.http.get("/v1/timeline/root", params={"namespace": "work", "user_id": "nadia"}).json()["nodes"]
        return {"found": found, "said": said, "session": session, "years": [(year["title"], year["events"]) for year in years]}


def said_in(name: str) -> list[bytes]:
    """The lines of a bundle that nobody adds to by himself."""
    lines = Path(name).read_bytes().splitlines()
    return [line for line in lines if b'"stream":"session/' in line or b'"stream":"memory/' in line]


@pytest.fixture(scope="module")
def source(servers: Servers) -> Iterator[End]:
    with running_stack(servers) as stack:
        end = End(stack)
        end.run("import", str(history()), "-n", "work", "-u", "nadia")
        document = {"messages": [{"role": "user", "content": "hello"}], "user_id": "anna", "data": {"n": 1}}
        assert end.http.put("/v1/working-memory/s", json=document).status_code == 200
        records = [{"id": f"m{number}", "text": f"boat {number}", "user_id": "anna", "topics": ["sea"]} for number in range(20)]
        assert end.http.post("/v1/long-term-memory/", json={"memories": records}).status_code == 200
        end.caught_up()
        yield end
        end.http.close()


@pytest.fixture(scope="module")
def target(servers: Servers) -> Iterator[End]:
    with running_stack(servers, AUTH_MODE="token") as stack:
        end = End(stack)
        end.use(end.token("admin"))
        yield end
        end.http.close()


def test_a_bundle_carries_everything_from_one_system_to_another(source: End, target: End, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first.jsonl"), str(tmp_path / "second.jsonl")
    told = source.json("export", first)
    assert told["bytes"] == os.path.getsize(first)
    counts = told["counts"]
    assert counts["events"] > 500
    would = target.json("import", first, "--dry-run")[0]
    assert (would["restored"]["created"], would["restored"]["dry_run"]) == (counts["events"], True)
    done = target.json("import", first)[0]
    assert done["restored"]["created"] == counts["events"]
    again = target.json("import", first)[0]["restored"]
    assert (again["created"], again["known"]) == (0, counts["events"])

    # What is written about the table of contents goes on by itself in both.
    for end, name in ((source, first), (target, second)):
        end.run("export", name, "--force", "--user-id", "anna")
    assert said_in(first) == said_in(second) != []

    assert target.seen() == source.seen()
    target.run("doctor", "--wait", "30")


def test_standard_streams_can_be_used(source: End, target: End) -> None:
    out, err = source.run("export", "-", "-n", "work", "-u", "nadia")
    assert "482 events" in err or "events" in err
    told, _ = target.run("import", "-", "--dry-run", given=out.encode())
    assert "bundle: -" in told
    assert "already known" in told


def test_only_an_admin_of_the_whole_tenant_may(target: End, tmp_path: Path) -> None:
    name = str(tmp_path / "bundle.jsonl")
    for token, why in ((target.token("write"), "Required scope: admin"), (target.token("admin", "--user", "anna"), "bound to")):
        _, err = target.run("export", name, code=1, AGENT_MEMORY_TOKEN=token)
        assert why in err
    assert list(tmp_path.iterdir()) == []


def test_an_admin_gets_what_is_of_his_tenant_alone(target: End, tmp_path: Path) -> None:
    theirs = target.token("admin", "--tenant", "theirs")
    memory = {"memories": [{"id": "hidden", "text": "only they know", "user_id": "anna"}]}
    answer = target.http.post("/v1/long-term-memory/", json=memory, headers={"authorization": f"Bearer {theirs}"})
    assert answer.status_code == 200
    told = target.json("export", str(tmp_path / "theirs.jsonl"), AGENT_MEMORY_TOKEN=theirs)
    assert told["counts"] == {"claims": 1, "commands": 1, "events": 1}
    target.run("export", str(tmp_path / "mine.jsonl"))
    assert b"hidden" not in (tmp_path / "mine.jsonl").read_bytes()


def test_a_damaged_bundle_is_refused_before_anything_is_sent(source: End, tmp_path: Path) -> None:
    name = tmp_path / "bundle.jsonl"
    source.run("export", str(name), "-u", "anna")
    _, err = source.run("export", str(name), code=1)
    assert "is there already" in err
    whole = name.read_bytes()
    name.write_bytes(whole[:-100])
    _, err = source.run("import", str(name), code=1, AGENT_MEMORY_URL="http://127.0.0.1:9")
    assert "nothing was imported" in err
    name.write_bytes(whole.replace(b"boat 7", b"boat 8"))
    _, err = source.run("import", str(name), code=1, AGENT_MEMORY_URL="http://127.0.0.1:9")
    assert "not what its manifest and seal say" in err
    name.write_bytes(whole)
    _, err = source.run("import", str(name), "-u", "ben", code=2)
    assert "says itself whose it is" in err
    _, err = source.run("import", str(name), str(history()), code=2)
    assert "apart from each other" in err
    told, _ = source.run("import", str(name), "--dry-run", AGENT_MEMORY_URL="", AGENT_MEMORY_HOME=str(tmp_path / "nothing"))
    assert "no server was asked" in told


def test_a_server_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    environment = {**stack_environment(), "AGENT_MEMORY_HOME": str(tmp_path)}
    argv = python("agent_memory.cli.main", "export", str(tmp_path / "b.jsonl"))
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "no server to talk to" in done.stderr) == (3, True)


def test_a_server_that_does_not_answer_is_told_as_by_every_command(source: End, typed: Typed, tmp_path: Path) -> None:
    bundle, history = tmp_path / "bundle", tmp_path / "history"
    source.run("export", str(bundle))
    history.write_text('{"event_id": "e", "session_id": "s", "timestamp_ms": 1, "role": "user", "text": "x"}\n')
    for command in (("export", "-"), ("import", str(bundle)), ("import", str(history)), ("demo",)):
        told = typed(*command, "--url", "http://127.0.0.1:9")
        assert (told.code, "no answer from http://127.0.0.1:9" in told.err) == (3, True), told.err
        assert "`agent-memory up` starts a server here" in told.err
        assert typed(*command, "--url", "nowhere").code == 2


def test_a_body_that_is_no_bundle_is_a_400(source: End) -> None:
    answer = source.http.post("/v1/bundle", content=b'{"hello": 1}\n')
    assert (answer.status_code, answer.json()) == (400, {"detail": "line 1: this is no bundle; nothing was imported"})
    assert msgspec.json.decode(source.http.get("/v1/bundle", params={"user_id": "nobody"}).text.splitlines()[0])["counts"] == {
        "claims": 0,
        "commands": 0,
        "events": 0,
        "sessions": 0,
    }
