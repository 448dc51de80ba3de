"""Health check of a container: exits with 0 when the service in it is ready, else with 1 and the reason."""

import os
import sys
import urllib.request
from collections.abc import Mapping

SECONDS = 3.0


def address(environment: Mapping[str, str]) -> str:
    """Where the service of this container says whether it is ready."""
    match environment.get("AGENT_MEMORY_SERVICE", ""):
        case "gateway":
            return f"http://127.0.0.1:{environment.get('PORT') or 8000}/ready"
        case "embeddings":
            return "http://127.0.0.1:8080/health"
        case _:
            return f"http://127.0.0.1:{environment.get('METRICS_PORT') or 9100}/ready"


if __name__ == "__main__":
    try:
        with urllib.request.urlopen(address(os.environ), timeout=SECONDS):
            sys.exit(0)
    except OSError as error:  # also every answer that is not a success
        sys.exit(f"{address(os.environ)}: {error}")
