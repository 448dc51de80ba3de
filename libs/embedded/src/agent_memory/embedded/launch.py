"""Turns itself into another program after settling whom it runs as, how nice it is and when it dies with its parent.

Run as a script, `python -I -S launch.py PARENT DEATH_SIGNAL NICE UID GID PROGRAM ARGUMENT…`, because doing the same between fork
and exec is not safe in a parent with threads. -1 as uid and gid keeps the user. A change of user clears the death signal, so
the order matters. Also `… PROBE PATH` instead of a program: exit 0 when that user can read and enter PATH.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
ORPHANED = 98
UNREACHABLE = 97


def main(arguments: list[str]) -> None:
    """Does not return on success. Exit 98: the parent was gone already; 97: PATH is out of the user's reach."""
    parent, death_signal, nice, uid, gid = (int(number) for number in arguments[:5])
    command = arguments[5:]
    if nice:
        os.nice(nice)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if command[0] == "PROBE":
        sys.exit(0 if os.access(command[1], os.R_OK | os.X_OK) else UNREACHABLE)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(ORPHANED)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
