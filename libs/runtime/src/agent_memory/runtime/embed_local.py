"""The embedded default: all-MiniLM-L6-v2 on this machine, in threads of its own. No key, no download."""

import asyncio
from collections.abc import Sequence

import numpy as np
import onnxruntime
import tokenizers

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.embed_graph import DIMENSIONS, MAX_TOKENS, Weights, graph, initializers, model_folder
from agent_memory.runtime.embed_lane import MOST_TEXTS, MOST_TOKENS, Lane, Piece
from agent_memory.runtime.embed_vectors import clean, packed

Tokens = list[int]

MODEL = "all-MiniLM-L6-v2"
INTERACTIVE = 4
"""A request of so many texts or fewer is somebody waiting for a search."""
AT_ONCE_CHARACTERS = 2_000
"""So much text is cut into tokens on the spot, in a millisecond; more is not done in the event loop."""
LONGEST_TEXT = 16_384
"""Characters beyond which a text cannot matter any more: the model reads 256 tokens."""


class MiniLM:
    """The model itself; blocking. Each run is the calling thread's alone, at its priority; several may run at once."""

    def __init__(self) -> None:
        folder = model_folder()
        weights = Weights(folder / "model.safetensors")
        constants = initializers(weights)
        options = onnxruntime.SessionOptions()
        # Runs side by side use processors better than threads that wait for each other after every operation of one run.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Basic: the extended level would fuse the normalisations into a kernel that measures slower here.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        tensors = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in constants.values()]
        options.add_external_initializers(list(constants), tensors)
        self._session = onnxruntime.InferenceSession(graph(constants), options, providers=["CPUExecutionProvider"])
        weights.forget_pages()
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """What the model reads of each text; about 40 µs a sentence."""
        return [self._tokenizer.encode(clean(text[:LONGEST_TEXT])).ids for text in texts]

    def vectors(self, texts: Sequence[Tokens]) -> list[bytes]:
        """One vector per text, all in one run: padded to the longest."""
        width = max(map(len, texts))
        ids = np.zeros((len(texts), width), dtype=np.int64)
        mask = np.zeros((len(texts), width), dtype=np.int32)
        for row, found in enumerate(texts):
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        share = (mask / mask.sum(axis=1, keepdims=True)).astype(np.float32)[:, None, :]
        given = {"ids": ids, "mask": mask, "places": np.arange(width, dtype=np.int64), "share": share}
        return packed(self._session.run(None, given)[0], MODEL)


class LocalEmbedder:
    """MiniLM behind two lanes: one for queries, one for batches, so that a query never waits for a batch to end.

    `threads`: runs of batches at once. With `interactive`, every request is taken for a query.
    """

    model = MODEL
    dimensions = DIMENSIONS

    def __init__(self, *, threads: int = 2, interactive: bool = False) -> None:
        self._threads = max(threads, 1)
        self._interactive = interactive
        self._opening = asyncio.Lock()
        self._model: MiniLM | None = None
        self._lanes: tuple[Lane[Tokens], Lane[Tokens]] | None = None
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
        model, queries, batches = await self._opened()
        lane = queries if interactive or self._interactive or len(texts) <= INTERACTIVE else batches
        tokens = await _tokens(model, texts)
        loop = asyncio.get_running_loop()
        sizes = [len(one) for one in tokens]
        order = sorted(range(len(texts)), key=sizes.__getitem__)
        pieces = [
            Piece(texts=[tokens[at] for at in chosen], longest=sizes[chosen[-1]], answer=loop.create_future(), loop=loop)
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

    async def _opened(self) -> tuple[MiniLM, Lane[Tokens], Lane[Tokens]]:
        async with self._opening:
            if self._closed:
                raise Unavailable("the local embedding model is closed")
            model = self._model if self._model is not None else await asyncio.to_thread(MiniLM)
            self._model = model
            self._lanes = self._lanes or (
                Lane("embed-queries", model.vectors),
                Lane("embed-batches", model.vectors, background=True, threads=self._threads),
            )
            return model, *self._lanes


async def _tokens(model: MiniLM, texts: Sequence[str]) -> list[Tokens]:
    # Sorted by what was guessed from their length, texts would be padded by a fifth, which costs more than to know.
    if sum(map(len, texts)) <= AT_ONCE_CHARACTERS:
        return model.tokens(texts)
    return await asyncio.to_thread(model.tokens, texts)


def runs(order: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Cut texts that are sorted by size into runs of at most 32 texts and 256 padded tokens."""
    cut: list[list[int]] = [[]]
    for at in order:
        if cut[-1] and (len(cut[-1]) >= MOST_TEXTS or (len(cut[-1]) + 1) * sizes[at] > MOST_TOKENS):
            cut.append([])
        cut[-1].append(at)
    return cut
