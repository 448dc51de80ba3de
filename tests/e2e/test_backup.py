"""A disaster: the folders of Postgres and Redis are gone. The backup brings back everything that was there."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx

from agent_memory.cli.sample import history
from agent_memory.embedded.home import Home
from agent_memory.embedded.reach import erase
from agent_memory.embedded.supervisor import Stack
from support.controls import wait_until_now
from support.forks import fork, python
from support.servers import stack_environment, temporary_home
from support.written import until_all_is_written


def command(home: Path, *arguments: str, code: int = 0) -> Any:
    """What a command answers that was typed beside the stack of this home."""
    given = stack_environment(AGENT_MEMORY_HOME=str(home), EMBEDDING_MODEL="hash")
    argv = python("agent_memory.cli.main", *arguments, "--json")
    done = subprocess.run(argv, env=given, capture_output=True, check=False, timeout=180)
    assert done.returncode == code, done.stderr.decode() + done.stdout.decode()
    return json.loads(done.stdout) if done.stdout and not code else done.stderr.decode()


def seen(home: Path, stack: Stack) -> dict[str, Any]:
    """Everything that a client can see of what was recorded, when all views have caught up."""
    with httpx.Client(base_url=stack.http_urls[0], timeout=30) as http:

        def caught_up() -> bool:
            return all(one["lag"] == 0 for one in http.get("/v1/status").json()["projections"])

        wait_until_now(caught_up, "every view caught up", timeout=60)
        owner = {"namespace": "work", "user_id": "nadia"}
        found = http.post("/v1/long-term-memory/search", json={"text": "what is known about boats", "limit": 30}).json()
        said = http.post("/v1/timeline/search", json={"text": "seat hold", "limit": 20, **owner}).json()
        session = http.get("/v1/working-memory/s", params={"user_id": "anna"}).json()
        years = http.get("/v1/timeline/root", params=owner).json()["nodes"]
    doctor = command(home, "doctor", "--wait", "60")
    assert doctor["ok"]
    contents = command(home, "rebuild-toc", "--dry-run")
    assert contents["same"]
    shown = [(year["title"], year["events"]) for year in years]
    return {"found": found["memories"], "said": said["events"], "session": session, "years": shown, "digest": contents["digest"]}


def record(stack: Stack, home: Path) -> None:
    given = stack_environment(AGENT_MEMORY_HOME=str(home), AGENT_MEMORY_URL=stack.http_urls[0])
    argv = python("agent_memory.cli.main", "import", str(history()), "-n", "work", "-u", "nadia")
    subprocess.run(argv, env=given, capture_output=True, check=True, timeout=120)
    with httpx.Client(base_url=stack.http_urls[0], timeout=30) as http:
        document = {"messages": [{"role": "user", "content": "hello"}], "user_id": "anna", "data": {"n": 1}}
        assert http.put("/v1/working-memory/s", json=document).status_code == 200
        records = [{"id": f"m{number}", "text": f"boat {number}", "user_id": "anna", "topics": ["sea"]} for number in range(20)]
        assert http.post("/v1/long-term-memory/", json={"memories": records}).status_code == 200


def test_everything_is_destroyed_and_comes_back_from_a_backup(tmp_path: Path) -> None:
    environment = stack_environment(EMBEDDING_MODEL="hash", TIMELINE_SETTLE_SECONDS="0.1")
    file = tmp_path / "log.backup"
    with temporary_home() as home:
        with Stack(home, environment=environment, spawn=fork) as stack:
            record(stack, home)
            until_all_is_written(stack.http_urls[0], stack.redis_url)
            before = seen(home, stack)
            made = command(home, "backup", str(file))
            refused = command(home, "restore", str(file), code=1)
            assert "services live" in refused
        assert made["rows"]["events"] > 500
        stopped = command(home, "backup", str(tmp_path / "stopped.backup"))
        assert stopped["position"] >= made["position"]
        erase(Home(path=home))
        assert not home.exists()
    with temporary_home() as home:
        back = command(home, "restore", str(file))
        assert (back["position"], back["rows"]) == (made["position"], made["rows"])
        with Stack(home, environment=environment | {"TIMELINE_SETTLE_SECONDS": "3600"}, spawn=fork) as stack:
            assert seen(home, stack) == before
