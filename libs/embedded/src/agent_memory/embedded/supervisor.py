"""The whole stack on one machine: servers, schema, services; kept alive, stopped in order."""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import msgspec

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.home import Home, held, home_path, open_home
from agent_memory.embedded.plan import Plan, further, make_plan
from agent_memory.embedded.processes import Launch, Spawn, birth, is_alive, spawn, stop, until
from agent_memory.embedded.running import Running, last_line, rotate
from agent_memory.embedded.state import Phase, ProcessState, Role, StackState, read_state, write_state

LOOK_EVERY_SECONDS = 0.05
TRIM_EVERY_SECONDS = 60.0
START_SECONDS = 90.0
HOPELESS_DEATHS = 4
ERRAND_SECONDS = 60.0
_STOP_ORDER: tuple[Role, ...] = ("gateway", "service", "nursery", "model", "server")


class Stack:
    """One stack in one home. `environment` stands in for the process's own (settings, and what children inherit).

    `replicas` says how many of a service to run; the second indexer is called `indexer-2`. All processes are started by a
    thread of this object and die with it, so it may be used from any thread, and nothing outlives a killed program.
    `spawn` stands in for how they are started: tests that start many of them share imports.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        replicas: Mapping[str, int] | None = None,
        tell: Callable[[str], None] = lambda line: None,
        spawn: Spawn = spawn,
    ) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._path = home or home_path(self._environment)
        self._replicas = dict(replicas or {})
        self._tell = tell
        self._spawn = spawn
        self._thread: threading.Thread | None = None
        self._errands: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._wish = threading.Event()
        self._settled = threading.Event()
        self._failure: StackError | None = None
        self._plan: Plan | None = None
        self._running: list[Running] = []
        self._phase: Phase = "starting"
        self._started_ms = 0

    def start(self, timeout_seconds: float = START_SECONDS) -> None:
        """Returns when every part is ready. Raises StackError, with everything stopped again, when that does not come about."""
        if self._thread:
            raise StackError("this stack was started already")
        self._started_ms = time.time_ns() // 1_000_000
        self._thread = threading.Thread(target=self._live, args=(timeout_seconds,), name="supervisor", daemon=True)
        self._thread.start()
        self._settled.wait()
        if self._failure:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Stops gateways, then services, then servers. Safe to call twice."""
        self._wish.set()
        if self._thread:
            self._thread.join()

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def state(self) -> StackState:
        """What runs now."""
        return self._state()

    @property
    def grpc_port(self) -> int:
        """Where the first gateway answers gRPC."""
        return next(iter(self.grpc_ports), 0)

    @property
    def grpc_ports(self) -> list[int]:
        """Where each gateway answers gRPC, in the order of `http_urls`; 0 where none does."""
        return self._require_plan().grpc_ports

    @property
    def database_url(self) -> str:
        """Of the log."""
        return self._require_plan().database_url

    @property
    def redis_url(self) -> str:
        """Of the bus and the read models."""
        return self._require_plan().redis_url

    @property
    def http_urls(self) -> list[str]:
        """Of the gateways, without a slash at the end."""
        return self._require_plan().http_urls

    @property
    def environment(self) -> dict[str, str]:
        """What services are given, with which a program can read the same settings."""
        return dict(self._require_plan().environment)

    def pids(self) -> dict[str, int]:
        """Name to process id of what is alive now."""
        return {running.part.name: process.pid for running in self._running if (process := running.process)}

    def kill(self, name: str, signal_number: int = signal.SIGKILL) -> int:
        """Sends a signal to one process, which is started again when it dies. Returns its pid; raises StackError when none runs."""
        pid = self.pids().get(name)
        if pid is None:
            raise StackError(f"nothing named {name} runs", hint=f"running: {', '.join(self.pids())}")
        born = birth(pid)
        os.kill(pid, signal_number)
        if signal_number == signal.SIGKILL:
            until(lambda: not is_alive(pid, born), 5.0)
        return pid

    def grow(self, service: str) -> str:
        """Starts one more replica of a background service and returns its name; `wait_ready` waits until it is ready too."""
        started: list[str] = []
        self._in_thread(lambda: started.append(self._grow(service)))
        return started[0]

    def retire(self, name: str, signal_number: int = signal.SIGKILL) -> int:
        """Sends a signal to one process, which is not started again. Returns its pid when it has ended."""
        ended: list[int] = []
        self._in_thread(lambda: ended.append(self._retire(name, signal_number)))
        return ended[0]

    def is_ready(self) -> bool:
        """Whether every part is alive and has been ready since its last start."""
        return self._phase == "ready" and all(running.ready and running.state().alive for running in self._running)

    def wait_ready(self, timeout_seconds: float = 60.0) -> None:
        """Returns when every part is up again after a death. Raises StackError naming those that are not."""
        if not until(self.is_ready, timeout_seconds, every_seconds=LOOK_EVERY_SECONDS):
            raise StackError(f"not ready after {timeout_seconds:.0f} s: {', '.join(self._unready())}")

    def _live(self, timeout_seconds: float) -> None:
        """The thread: from the lock on the home to its release."""
        try:
            home = open_home(self._path)
            with held(home):
                self._live_in(home, timeout_seconds)
        except StackError as error:
            self._failure = error
        except OSError as error:
            self._failure = StackError(f"the stack cannot go on: {error}")
        finally:
            self._settled.set()

    def _live_in(self, home: Home, timeout_seconds: float) -> None:
        try:
            deadline = time.monotonic() + timeout_seconds
            self._bring_up(home, deadline)
            self._enter(home, "ready" if not self._wish.is_set() else "stopping")
            self._settled.set()
            self._watch(home)
        except StackError as error:
            self._failure = error
            raise
        finally:
            self._take_down(home)

    def _bring_up(self, home: Home, deadline: float) -> None:
        before = read_state(home)
        _bury(before)
        self._plan = make_plan(home, self._environment, self._replicas, before, self._spawn)
        self._enter(home, "starting")
        # Imports take longest, so they begin first, and the servers start beside them.
        self._start_parts("nursery")
        self._start_parts("server")
        self._start_parts("model")
        self._until_ready(home, deadline, "server")
        self._migrate(home, deadline)
        self._until_ready(home, deadline, "nursery")
        self._start_parts("service", "gateway")
        self._until_ready(home, deadline, "model", "service", "gateway")

    def _start_parts(self, *roles: Role) -> None:
        for part in self._require_plan().parts:
            if part.role in roles and not self._wish.is_set():
                running = Running(part)
                running.start()
                self._running.append(running)

    def _until_ready(self, home: Home, deadline: float, *roles: Role) -> None:
        awaited = [running for running in self._running if running.part.role in roles]
        while not all(running.ready for running in awaited) and not self._wish.wait(LOOK_EVERY_SECONDS):
            self._look(home)
            for running in awaited:
                if not running.was_ready and running.deaths_in_a_row >= HOPELESS_DEATHS:
                    raise StackError(
                        f"{running.part.name} cannot start: {running.last_words()}", hint=_see(running.part.launch.log)
                    )
            if time.monotonic() > deadline:
                late = next(running for running in awaited if not running.ready)
                words = f"{', '.join(self._unready())} not ready in time: {late.last_words()}"
                raise StackError(words, hint=_see(late.part.launch.log))

    def _migrate(self, home: Home, deadline: float) -> None:
        launch = Launch(
            argv=(sys.executable, "-m", "agent_memory.embedded.prepare"),
            environment=self._require_plan().environment,
            log=home.logs / "prepare.log",
            folder=home.path,
        )
        process = self._spawn(launch)
        try:
            while process.poll() is None and not self._wish.wait(LOOK_EVERY_SECONDS):
                self._look(home)
                if time.monotonic() > deadline:
                    raise StackError("the database was not prepared in time", hint=_see(launch.log))
        finally:
            stop([(process, launch)])
        if process.returncode != 0 and not self._wish.is_set():
            raise StackError(last_line(launch.log) or "the database cannot be prepared", hint=_see(launch.log))

    def _in_thread(self, errand: Callable[[], None]) -> None:
        """Has the supervisor's thread do something: children belong to it. Raises what that raised, StackError when it is busy."""
        done: Future[None] = Future()
        self._errands.put((errand, done))
        try:
            done.result(ERRAND_SECONDS)
        except TimeoutError:
            raise StackError(f"the stack is {self._phase} and takes no orders") from None

    def _grow(self, service: str) -> str:
        part = further(self._require_plan(), Home(path=self._path), service, [running.part.name for running in self._running])
        running = Running(part)
        running.start()
        self._running = [*self._running, running]
        return part.name

    def _retire(self, name: str, signal_number: int) -> int:
        for running in self._running:
            if running.part.name == name and (process := running.process):
                self._running = [one for one in self._running if one is not running]
                stop([(process, msgspec.structs.replace(running.part.launch, stop_signal=signal_number))])
                return process.pid
        raise StackError(f"nothing named {name} runs", hint=f"running: {', '.join(self.pids())}")

    def _run_errands(self, home: Home) -> None:
        while not self._errands.empty():
            errand, done = self._errands.get()
            try:
                errand()
                self._enter(home, self._phase)
            except (StackError, OSError) as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _watch(self, home: Home) -> None:
        trim_at = time.monotonic() + TRIM_EVERY_SECONDS
        while not self._wish.wait(LOOK_EVERY_SECONDS):
            self._run_errands(home)
            self._look(home)
            if time.monotonic() > trim_at:
                trim_at = time.monotonic() + TRIM_EVERY_SECONDS
                for running in self._running:
                    rotate(running.part.launch.log)

    def _look(self, home: Home) -> None:
        news = [line for running in self._running if (line := running.tend())]
        for line in news:
            self._tell(line)
        if news:
            self._enter(home, self._phase)

    def _take_down(self, home: Home) -> None:
        if self._plan:
            self._enter(home, "stopping")
        for role in _STOP_ORDER:
            group = [running for running in self._running if running.part.role == role]
            stop((process, running.part.launch) for running in group if (process := running.process))
            for running in group:
                running.ready, running.process = False, None
        if self._plan and self._plan.nursery:
            self._plan.nursery.close()
        self._enter(home, "failed" if self._failure else "stopped")

    def _enter(self, home: Home, phase: Phase) -> None:
        self._phase = phase
        try:
            write_state(home, self._state())
        except StackError as error:
            # A disk that is full must not take down what still runs.
            self._tell(error.text)

    def _state(self) -> StackState:
        plan = self._plan
        state = StackState(
            phase=self._phase,
            pid=os.getpid(),
            born=birth(os.getpid()),
            home=str(self._path),
            started_ms=self._started_ms,
            error=self._failure.text if self._failure else "",
            hint=self._failure.hint if self._failure else "",
            processes=[running.state() for running in self._running],
        )
        if plan is None:
            return state
        reached = {name: getattr(plan, name) for name in ("database_url", "redis_url", "embeddings_url", "http_urls")}
        return msgspec.structs.replace(
            state,
            **reached,
            grpc_port=next(iter(plan.grpc_ports), 0),
            grpc_host=plan.grpc_host,
            grpc_certificate=plan.grpc_certificate,
            working_memory_redis_url=plan.working_memory_redis_url,
            postgres_data=plan.postgres_data,
        )

    def _unready(self) -> list[str]:
        return [running.part.name for running in self._running if not running.ready]

    def _require_plan(self) -> Plan:
        if self._plan is None:
            raise StackError("the stack has not been started")
        return self._plan


def _bury(before: StackState | None) -> None:
    """Waits for what a killed supervisor left: its children are dying, and two servers on one folder would destroy it."""
    for process in before.processes if before else []:
        if not _is_gone(process, 20.0):
            os.kill(process.pid, signal.SIGKILL)
            _is_gone(process, 5.0)


def _is_gone(process: ProcessState, timeout_seconds: float) -> bool:
    return until(lambda: not process.alive, timeout_seconds)


def _see(log: Path) -> str:
    return f"its log is {log}"
