"""In-memory twin of the port `Bundles`: a log without events, into which bundles are read and forgotten."""

from collections.abc import AsyncGenerator, AsyncIterator

from agent_memory.contracts.bundles import FORMAT, VERSION, Manifest, Reader, Restored, Writer, lines_of


class MemoryBundles:
    """Exports the bundle of nothing."""

    async def exported(
        self, tenant: str, *, namespace: str | None, user_id: str | None, embeddings: bool, answers: bool
    ) -> AsyncGenerator[bytes, None]:
        """Manifest and seal."""
        writer = Writer()
        about = Manifest(
            format=FORMAT, version=VERSION, counts={"events": 0}, namespace=namespace, user_id=user_id, answers=answers
        )
        yield writer.line(about)
        yield writer.seal()

    async def restored(self, tenant: str, chunks: AsyncIterator[bytes], *, dry_run: bool, keep: bool) -> Restored:
        """Reads a bundle; its events are new here each time."""
        reader = Reader()
        async for line in lines_of(chunks, reader):
            reader.line(line)
        counts = reader.finish().counts
        return Restored(created=counts.get("events", 0), known=0, sessions=counts.get("sessions", 0), memories=0, dry_run=dry_run)
