"""The floor of every read over HTTP: Litestar, one route, one GET of Redis. `python -m bench.bare REDIS_URL` prints its port."""

import socket
import sys

import uvicorn
import uvloop
from litestar import Litestar, MediaType, Response, get
from redis.asyncio import Redis

KEY = "bench:document"


async def serve(redis_url: str) -> None:
    """Until killed."""
    redis = Redis.from_url(redis_url, protocol=2)

    @get("/document")
    async def document() -> Response[bytes]:
        return Response(await redis.get(KEY), media_type=MediaType.JSON)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        app = Litestar([document], openapi_config=None, logging_config=None)
        config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", access_log=False, log_level="warning")
        await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
