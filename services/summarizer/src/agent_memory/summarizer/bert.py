"""Topics and entities by models on this machine: BERTopic and a token classifier of transformers.

Neither package nor model comes with us: they weigh gigabytes. Where they are installed and the model is on disk (a folder, or in
the Hugging Face cache), they are used; where not, what they would find is not looked for, and one line of the log says so.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

Find = Callable[[str], list[str]]
"""What a text is about, or names. Blocks."""

LEAST_SCORE = 0.5


def load_topics(model: str, top: int) -> Find | None:
    """Topics of a text by BERTopic, at most `top`; None when it cannot be."""
    loaded = _loaded("TOPIC_MODEL", model, "bertopic", lambda package, path: package.BERTopic.load(path))
    return None if loaded is None else lambda text: _topics(loaded, text, top)


def load_entities(model: str) -> Find | None:
    """Entities of a text by a token classifier; None when it cannot be."""
    loaded = _loaded(
        "NER_MODEL",
        model,
        "transformers",
        lambda package, path: package.pipeline("ner", model=path, tokenizer=path, aggregation_strategy="simple"),
    )
    return None if loaded is None else lambda text: _entities(loaded, text)


def _loaded(setting: str, model: str, package: str, load: Callable[[Any, str], Any]) -> Any | None:
    try:
        module = importlib.import_module(package)
        return load(module, _on_disk(model))
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        log.warning("off: the model cannot be loaded", setting=setting, model=model, error=f"{type(error).__name__}: {error}"[:300])
        return None


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
    return [str(word) for word, _ in (model.get_topic(number) or [])[:top]]


def _entities(pipeline: Any, text: str) -> list[str]:
    found = [one for one in pipeline(text) if float(one["score"]) >= LEAST_SCORE]
    return list(dict.fromkeys(str(one["word"]).strip() for one in found if len(str(one["word"]).strip()) > 1))
