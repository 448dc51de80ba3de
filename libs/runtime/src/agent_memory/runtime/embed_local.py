"""The embedded default: all-MiniLM-L6-v2 on this machine, in threads of its own. No key, no download."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
import tokenizers

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.embed_graph import DIMENSIONS, MAX_TOKENS, Weights, graph, initializers, model_folder
from agent_memory.runtime.embed_lane import MOST_TEXTS, MOST_TOKENS, Lane, Piece, yield_to_others
from agent_memory.runtime.embed_vectors import clean, packed

MODEL = "all-MiniLM-L6-v2"
INTERACTIVE = 4
"""A request of so many texts or fewer is somebody waiting for a search."""
LONGEST_TEXT = 16_384
"""Characters beyond which a text cannot matter any more: the model reads 256 tokens."""


class MiniLM:
    """The model itself; blocking, safe to call from several threads. About 260 MB, of which 90 are the mapped weights."""

    def __init__(self, *, threads: int = 2) -> None:
        folder = model_folder()
        weights = Weights(folder / "model.safetensors")
        constants = initializers(weights)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(threads, 1)
        options.inter_op_num_threads = 1
        # Basic: the extended level would fuse the normalisations into a kernel that measures slower here.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # Spinning threads save 0.1 ms and burn a processor that other services need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        tensors = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in constants.values()]
        options.add_external_initializers(list(constants), tensors)
        self._session = onnxruntime.InferenceSession(graph(constants), options, providers=["CPUExecutionProvider"])
        weights.forget_pages()
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def vectors(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text, all in one run: padded to the longest."""
        tokens = [self._tokenizer.encode(clean(text[:LONGEST_TEXT])).ids for text in texts]
        width = max(map(len, tokens))
        ids = np.zeros((len(tokens), width), dtype=np.int64)
        mask = np.zeros((len(tokens), width), dtype=np.int32)
        for row, found in enumerate(tokens):
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        share = (mask / mask.sum(axis=1, keepdims=True)).astype(np.float32)[:, None, :]
        given = {"ids": ids, "mask": mask, "places": np.arange(width, dtype=np.int64), "share": share}
        return packed(self._session.run(None, given)[0], MODEL)


class LocalEmbedder:
    """MiniLM behind two lanes: one for queries, one for batches, so that a query never waits for a batch to end.

    With `interactive`, every request is taken for a query.
    """

    model = MODEL
    dimensions = DIMENSIONS

    def __init__(self, *, threads: int = 2, interactive: bool = False) -> None:
        self._threads = threads
        self._interactive = interactive
        self._lanes: tuple[Lane, Lane] | None = None
        self._loading: asyncio.Lock | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """Texts that wait for a lane."""
        return sum(lane.waiting for lane in self._lanes or ())

    async def load(self) -> None:
        """Load the model now instead of at the first text. Raises embed_graph.ModelMissing."""
        await self._opened()

    async def embed(self, texts: Sequence[str], *, interactive: bool = False) -> list[bytes]:
        """One vector per text; texts longer than 256 tokens count by their beginning. Raises Unavailable when closed."""
        if not texts:
            return []
        queries, batches = await self._opened()
        lane = queries if interactive or self._interactive or len(texts) <= INTERACTIVE else batches
        loop = asyncio.get_running_loop()
        sizes = [guessed_tokens(text) for text in texts]
        order = sorted(range(len(texts)), key=sizes.__getitem__)
        pieces = [
            Piece(texts=[texts[at] for at in chosen], longest=sizes[chosen[-1]], answer=loop.create_future(), loop=loop)
            for chosen in runs(order, sizes)
        ]
        lane.put(pieces)
        answers = await asyncio.gather(*(piece.answer for piece in pieces))
        vectors = [b""] * len(texts)
        for at, vector in zip(order, (vector for answer in answers for vector in answer), strict=True):
            vectors[at] = vector
        return vectors

    async def close(self) -> None:
        """End both lanes after the runs in hand."""
        self._closed = True
        lanes, self._lanes = self._lanes, None
        for lane in lanes or ():
            await asyncio.to_thread(lane.close)

    async def _opened(self) -> tuple[Lane, Lane]:
        if self._lanes is None:
            self._loading = self._loading or asyncio.Lock()
            async with self._loading:
                if self._closed:
                    raise Unavailable("the local embedding model is closed")
                if self._lanes is None:
                    queries = await asyncio.to_thread(lambda: MiniLM(threads=self._threads))
                    # A model of its own: the threads that a session makes inherit the priority of the thread that makes it.
                    batches = queries if self._interactive else await in_background(lambda: MiniLM(threads=self._threads))
                    self._lanes = (
                        Lane("embed-queries", queries.vectors),
                        Lane("embed-batches", batches.vectors, background=True),
                    )
        return self._lanes


async def in_background(make: Callable[[], MiniLM]) -> MiniLM:
    """What `make` makes, in a thread of low priority. Raises what it raises."""
    made: asyncio.Future[MiniLM] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def work() -> None:
        yield_to_others()
        try:
            model = make()
        except Exception as error:  # noqa: BLE001 - carried over to whoever awaits
            loop.call_soon_threadsafe(made.set_exception, error)
        else:
            loop.call_soon_threadsafe(made.set_result, model)

    threading.Thread(target=work, name="embed-load", daemon=True).start()
    return await made


def guessed_tokens(text: str) -> int:
    """Tokens of a text, good enough to sort by: four bytes each, and the two that the model adds."""
    return min(len(text.encode("utf-8", "replace")) // 4 + 3, MAX_TOKENS) if len(text) < 4 * MAX_TOKENS else MAX_TOKENS


def runs(order: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Cut texts that are sorted by size into runs of at most 32 texts and 512 padded tokens."""
    cut: list[list[int]] = [[]]
    for at in order:
        if cut[-1] and (len(cut[-1]) >= MOST_TEXTS or (len(cut[-1]) + 1) * sizes[at] > MOST_TOKENS):
            cut.append([])
        cut[-1].append(at)
    return cut
