"""Topics and entities by models on this machine: BERTopic and a token classifier of transformers.

Neither package nor model comes with us: they weigh gigabytes. Where they are installed and the model is on disk (a folder, or in
the Hugging Face cache), with the model of embeddings that a BERTopic names, they are used; where not, what they would find is not
looked for, and one line of the log says so.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import structlog

log = structlog.get_logger(__name__)

Find = Callable[[str], list[str]]
"""What a text is about, or names. Blocks."""

LEAST_SCORE = 0.5
WINDOW_TOKENS = 512
"""What a classifier reads at once when its configuration does not say."""
SAMPLE = "Ada Lovelace wrote the first program in London."
"""What a model has to make sense of before it counts as loaded."""


def load_topics(model: str, top: int) -> Find | None:
    """Topics of a text by BERTopic, at most `top`; None when it cannot be."""

    def load(package: Any, path: str) -> Find:
        loaded = package.BERTopic.load(path)
        return lambda text: _topics(loaded, text, top)

    return _loaded("TOPIC_MODEL", model, "bertopic", load)


def load_entities(model: str) -> Find | None:
    """Entities of a text by a token classifier; None when it cannot be."""

    def load(package: Any, path: str) -> Find:
        pipeline = _token_classifier(package, path)
        return lambda text: _entities(pipeline, text)

    return _loaded("NER_MODEL", model, "transformers", load)


def _loaded(setting: str, model: str, package: str, load: Callable[[Any, str], Find]) -> Find | None:
    """What finds, once it has found something out about a sample: a model may load without what it needs to read a text."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # the model of a BERTopic names another, which would be fetched
    try:
        find = load(importlib.import_module(package), _on_disk(model))
        find(SAMPLE)
    except Exception as error:  # noqa: BLE001 - each of these libraries has classes of its own for what is missing or broken
        log.warning("off: the model cannot be loaded", setting=setting, model=model, error=f"{type(error).__name__}: {error}"[:300])
        return None
    return _one_at_a_time(find)


def _one_at_a_time(find: Find) -> Find:
    """Tokenizers of transformers break when two threads use one."""
    lock = Lock()

    def found(text: str) -> list[str]:
        with lock:
            return find(text)

    return found


def _on_disk(model: str) -> str:
    """The folder of a model. Raises OSError when it is nowhere; nothing is downloaded."""
    if Path(model).exists():
        return model
    hub = importlib.import_module("huggingface_hub")
    try:
        return str(hub.snapshot_download(model, local_files_only=True))
    except Exception as error:  # noqa: BLE001 - the hub has a class of its own for each way in which a model is not there
        raise FileNotFoundError(f"{model} is neither a folder nor in the cache of models ({type(error).__name__})") from None


def _topics(model: Any, text: str, top: int) -> list[str]:
    numbers, _ = model.transform([text])
    number = int(numbers[0])
    if number < 0:
        return []  # BERTopic's name for what belongs to no topic
    words = [str(word) for word, _ in (model.get_topic(number) or [])]
    return [word for word in words if word][:top]  # a topic of few words is filled up with empty ones


def _token_classifier(package: Any, path: str) -> Any:
    """The pipeline that marks whole words, in windows that overlap: a model reads some hundred tokens and drops the rest."""
    tokenizer = package.AutoTokenizer.from_pretrained(path)
    model = package.AutoModelForTokenClassification.from_pretrained(path)
    window = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", WINDOW_TOKENS))
    tokenizer.model_max_length = window
    by_word = {"aggregation_strategy": "first", "stride": window // 4}
    how = by_word if tokenizer.is_fast else {"aggregation_strategy": "simple"}
    return package.pipeline("ner", model=model, tokenizer=tokenizer, **how)


def _entities(pipeline: Any, text: str) -> list[str]:
    found = [_as_written(one, text) for one in pipeline(text) if float(one["score"]) >= LEAST_SCORE]
    return list(dict.fromkeys(word for word in found if len(word) > 1))


def _as_written(entity: dict[str, Any], text: str) -> str:
    """The entity as it stands in the text. Put together from tokens it has spaces where there are none."""
    start, end = entity.get("start"), entity.get("end")
    return str(entity["word"] if start is None or end is None else text[start:end]).strip()
