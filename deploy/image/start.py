"""First process of a container: becomes the service that AGENT_MEMORY_SERVICE names, so that signals reach it and nothing else."""

import os
import sys
from collections.abc import Mapping

EMBEDDINGS_PORT = "8080"
"""Where the local embedding model answers in a container."""


def command(environment: Mapping[str, str]) -> list[str]:
    """The arguments for Python. Exits with 2 when the image was built without naming its service."""
    service = environment.get("AGENT_MEMORY_SERVICE", "")
    if not service:
        sys.exit("AGENT_MEMORY_SERVICE is not set: build the image with --build-arg SERVICE=gateway, or any other service")
    if service == "embeddings":
        threads = environment.get("EMBEDDING_THREADS", "") or "2"
        where = ["--host", environment.get("HOST", "") or "127.0.0.1", "--port", EMBEDDINGS_PORT]
        return ["-m", "agent_memory.runtime.embed_server", *where, "--threads", threads]
    mode = ["--mode", "streamable-http"] if service == "mcp" else []
    return ["-m", f"agent_memory.{service}.app", *mode]


if __name__ == "__main__":
    os.execv(sys.executable, [sys.executable, *command(os.environ)])
