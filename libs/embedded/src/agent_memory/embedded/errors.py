"""What a person is told when the stack cannot run on this machine."""

import errno
import os
from pathlib import Path


class StackError(Exception):
    """The stack cannot start, stop or be found. The text is one line; `hint` says what to do about it."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint


_FOLDER_HINTS = {
    errno.EROFS: ("is on a read-only file system", "set AGENT_MEMORY_HOME to a folder that can be written"),
    errno.EACCES: ("cannot be written by this user", "set AGENT_MEMORY_HOME to a folder of yours, or change its owner"),
    errno.EPERM: ("cannot be written by this user", "set AGENT_MEMORY_HOME to a folder of yours, or change its owner"),
    errno.ENOSPC: ("is on a full disk", "free some space, or set AGENT_MEMORY_HOME to a folder on another disk"),
    errno.EDQUOT: ("is over its quota", "free some space, or set AGENT_MEMORY_HOME to a folder elsewhere"),
    errno.ENOTDIR: ("is not a folder", "set AGENT_MEMORY_HOME to a folder, or remove the file in its way"),
    errno.EEXIST: ("is not a folder", "set AGENT_MEMORY_HOME to a folder, or remove the file in its way"),
}


def folder_error(folder: Path, error: OSError) -> StackError:
    """The refusal of a folder, said once and in words."""
    what, hint = _FOLDER_HINTS.get(error.errno or 0, (f"cannot be used: {os.strerror(error.errno or 0)}", ""))
    return StackError(f"{folder} {what}", hint=hint)
