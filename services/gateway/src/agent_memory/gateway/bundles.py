"""Bundles of the log: out of it as they are read, into it at once."""

from collections.abc import AsyncGenerator, AsyncIterator

from redis.exceptions import RedisError

from agent_memory.contracts.bundles import Restored
from agent_memory.contracts.errors import Unavailable
from agent_memory.eventlog.bundle_export import Wanted, exported
from agent_memory.eventlog.bundle_import import restored
from agent_memory.readmodels.embedded_texts import texts_of
from agent_memory.readmodels.sessions import SessionWriter, ViewWrite

CHUNK = 500


class LogBundles:
    """Export and import. `model`: whose vectors are exported. Each works on a connection of its own, as long as it takes."""

    def __init__(self, database_url: str, views: SessionWriter, *, model: str) -> None:
        self._database_url = database_url
        self._views = views
        self._model = model

    def exported(
        self, tenant: str, *, namespace: str | None, user_id: str | None, embeddings: bool, answers: bool
    ) -> AsyncGenerator[bytes, None]:
        """As the port says."""
        model = self._model if embeddings else None
        wanted = Wanted(tenant=tenant, namespace=namespace, user_id=user_id, embeddings=model, answers=answers)
        return exported(self._database_url, wanted, texts_of)

    async def restored(self, tenant: str, chunks: AsyncIterator[bytes], *, dry_run: bool, keep: bool) -> Restored:
        """As the port says. What is shown of sessions that were here before is dropped where it is old: the log tells anew."""
        done, before = await restored(self._database_url, tenant, chunks, dry_run=dry_run, keep=keep)
        writes = [ViewWrite(how="drop", stream=stream, version=version) for stream, version in before.items()]
        try:
            for start in range(0, 0 if dry_run else len(writes), CHUNK):
                await self._views.show(writes[start : start + CHUNK])
        except (RedisError, OSError) as error:
            raise Unavailable("imported, but working memory cannot be brought up to date; import it again") from error
        return done
