"""PostgreSQL 18 from a wheel that is used as a carrier of programs: our own initdb, our own start, durable by default."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from agent_memory.embedded.errors import StackError, folder_error
from agent_memory.embedded.home import Home, secrets_of
from agent_memory.embedded.ports import LOOPBACK
from agent_memory.embedded.processes import Launch, User, as_user, until
from agent_memory.embedded.reach import data_folder, postgres_binaries, unprivileged_user

MAJOR = "18"
ROLE = "agent_memory"
DATABASE = "agent_memory"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "96MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_connections": "120",
    "max_wal_size": "512MB",
    "io_method": "sync",  # the default keeps worker processes, which a log in memory has no use for
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster that is ready to be started on `port`."""

    data: Path
    binaries: Path
    user: User | None
    password: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"postgresql://{ROLE}:{quote(self.password)}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def admin_url(self) -> str:
        """The same server's database for creating others."""
        return f"postgresql://{ROLE}:{quote(self.password)}@{LOOPBACK}:{self.port}/postgres"


def prepare_postgres(home: Home, port: int) -> Postgres:
    """Makes the cluster when there is none. Raises StackError when it cannot be made or is of another major version."""
    user = unprivileged_user()
    postgres = Postgres(
        data=data_folder(home, user),
        binaries=postgres_binaries(user),
        user=user,
        password=secrets_of(home).postgres,
        port=port,
        log=home.logs / "postgres.log",
    )
    if not postgres.data.exists():
        _initialise(postgres)
    found = _version_of(postgres.data)
    if found != MAJOR:
        raise StackError(f"{postgres.data} was written by Postgres {found}, this is {MAJOR}", hint="export it with that version")
    _clear_stale_lock(postgres)
    return postgres


def postgres_launch(postgres: Postgres, environment: Mapping[str, str]) -> Launch:
    """How to start it. It stops fast (clients are cut off, nothing is lost), also when its parent dies."""
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return Launch(
        argv=(str(postgres.binaries / "postgres"), "-D", str(postgres.data), "-p", str(postgres.port), *settings),
        environment=_plain(environment),
        log=postgres.log,
        folder=Path("/"),
        user=postgres.user,
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGINT,
        grace_seconds=30.0,
    )


def postgres_is_ready(postgres: Postgres) -> bool:
    """Whether it accepts connections."""
    asked = [str(postgres.binaries / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(postgres.port), "-t", "1"]
    return subprocess.run(asked, check=False).returncode == 0


def _initialise(postgres: Postgres) -> None:
    # Beside its place and then renamed, so that a start that is cut short leaves nothing half made.
    fresh = postgres.data.with_name("postgres.new")
    secret = postgres.data.with_name("postgres.secret")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(postgres.password)
        if postgres.user:
            for path in (fresh, secret):
                os.chown(path, postgres.user.uid, postgres.user.gid)
        _initdb(postgres, fresh, secret)
        os.rename(fresh, postgres.data)
    except OSError as error:
        raise folder_error(postgres.data.parent, error) from error
    finally:
        secret.unlink(missing_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)


def _initdb(postgres: Postgres, target: Path, secret: Path) -> None:
    command = [str(postgres.binaries / "initdb"), "-D", str(target), "-U", ROLE, f"--pwfile={secret}", "--encoding=UTF8"]
    # Stretching is for passwords that can be guessed. This one is random, and it would take each connection 2 ms.
    command += ["--auth=scram-sha-256", "--set=scram_iterations=1"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    done = subprocess.run(
        as_user(command, user=postgres.user), cwd="/", env=_plain(os.environ), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines() or ["no output"]
        hint = "free some space" if "No space left" in done.stderr else f"the folder is {target.parent}"
        raise StackError(f"Postgres could not make its data folder: {lines[0].strip()}", hint=hint)


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    # PGDATA, PGPORT and their kin would override what is said on the command line; LC_* would name missing locales.
    kept = {name: value for name, value in environment.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _version_of(data: Path) -> str:
    try:
        return (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise folder_error(data, error) from error


def _clear_stale_lock(postgres: Postgres) -> None:
    """A lock file whose number now belongs to some other program would keep Postgres from starting (common in containers)."""
    lock = postgres.data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if until(lambda: not _serves(pid, postgres.data), timeout_seconds=20):
        lock.unlink(missing_ok=True)
        return
    raise StackError(f"a Postgres (pid {pid}) still uses {postgres.data}", hint=f"stop it: kill -INT {pid}")


def _serves(pid: int, data: Path) -> bool:
    try:
        return str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
