"""What an image installs: `pins.py SERVICE requirements.lock` prints its pins with their hashes, `--members` our own packages.

Runs while an image is built, so it needs nothing but Python.
"""

import sys
from pathlib import Path

PACKAGES = Path(__file__).parent / "packages"


def needed(service: str) -> list[str]:
    """The lines of the service's list. Services that need the same share `worker.txt`."""
    own = PACKAGES / f"{service}.txt"
    lines = (own if own.exists() else PACKAGES / "worker.txt").read_text().splitlines()
    return [line.replace("SERVICE", service) for line in lines if line and not line.startswith("#")]


def members(service: str) -> list[str]:
    """Our own packages, as folders."""
    return [line for line in needed(service) if line.startswith("./")]


def pins(service: str, lock: str) -> str:
    """The part of the lock that the service needs, as it stands there. Exits when the lock lacks something."""
    names = {line for line in needed(service) if not line.startswith("./")}
    blocks: dict[str, list[str]] = {}
    name = ""
    for line in lock.splitlines():
        if line and not line[0].isspace():
            name = line.partition("==")[0]
        blocks.setdefault(name, []).append(line)
    if missing := sorted(names - blocks.keys()):
        sys.exit(f"requirements.lock lacks {', '.join(missing)}: make the lists anew with `./run lock`")
    return "\n".join(line for name in sorted(names) for line in blocks[name]) + "\n"


if __name__ == "__main__":
    match sys.argv[1:]:
        case [service, "--members"]:
            print("\n".join(members(service)))
        case [service, lock]:
            print(pins(service, Path(lock).read_text()), end="")
        case _:
            sys.exit("usage: pins.py SERVICE requirements.lock | pins.py SERVICE --members")
