"""Models on this machine: loaded where they are, off with one line of the log where they are not."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent_memory.summarizer.bert import load_entities, load_topics

BERTOPIC = """
class BERTopic:
    @classmethod
    def load(cls, path):
        return cls()

    def transform(self, texts):
        return [7 if "tea" in text else -1 for text in texts], None

    def get_topic(self, number):
        return [("drinks", 0.9), ("tea", 0.8), ("leaves", 0.1)]
"""
TRANSFORMERS = """
def pipeline(task, model, tokenizer, aggregation_strategy):
    assert (task, aggregation_strategy) == ("ner", "simple")
    return lambda text: [
        {"word": word, "score": 0.99 if word.istitle() else 0.2} for word in text.replace(".", "").split()
    ]
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages of the same names and interfaces: the real ones weigh gigabytes."""
    for name, source in (("bertopic", BERTOPIC), ("transformers", TRANSFORMERS)):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_where_the_package_is_missing_it_is_off_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "bertopic", missing)
    with capture_logs() as logs:
        assert load_topics("MaartenGr/BERTopic_Wikipedia", 3) is None
    assert [(line["setting"], line["model"]) for line in logs] == [("TOPIC_MODEL", "MaartenGr/BERTopic_Wikipedia")]


def test_where_the_model_is_missing_it_is_off_and_nothing_is_downloaded(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    hub = ModuleType("huggingface_hub")

    def snapshot_download(name: str, **options: object) -> str:
        asked.append({"name": name, **options})
        raise FileNotFoundError(name)

    hub.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with capture_logs() as logs:
        assert load_entities("nobody/nothing") is None
    assert asked == [{"name": "nobody/nothing", "local_files_only": True}]
    assert len(logs) == 1


def test_topics_are_the_first_words_of_the_topic(packages: Path) -> None:
    find = load_topics(str(packages), 2)
    assert find is not None
    assert find("tea time") == ["drinks", "tea"]
    assert find("trains") == []


def test_entities_are_what_the_model_is_sure_of_each_once(packages: Path) -> None:
    find = load_entities(str(packages))
    assert find is not None
    assert find("Anna met Oslo and Anna.") == ["Anna", "Oslo"]
