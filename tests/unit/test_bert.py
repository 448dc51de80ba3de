"""Models on this machine: loaded where they are, off with one line of the log where they are not."""

import sys
from concurrent.futures import ThreadPoolExecutor
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
        return [("drinks", 0.9), ("", 1e-05), ("tea", 0.8), ("leaves", 0.1)]
"""
UNREADY_BERTOPIC = """
class BERTopic:
    @classmethod
    def load(cls, path):
        return cls()

    def transform(self, texts):
        raise ValueError("No embedding model was found to embed the documents.")
"""
BROKEN_BERTOPIC = """
class BERTopic:
    @classmethod
    def load(cls, path):
        return tensors  # what the real one does when the weights are missing
"""
TRANSFORMERS = """
import re

class AutoTokenizer:
    is_fast, model_max_length = True, int(1e30)

    @classmethod
    def from_pretrained(cls, path):
        return cls()

class AutoModelForTokenClassification:
    class config:
        max_position_embeddings = 32

    @classmethod
    def from_pretrained(cls, path):
        return cls()

def pipeline(task, model, tokenizer, aggregation_strategy, stride):
    assert (task, aggregation_strategy, tokenizer.model_max_length, stride) == ("ner", "first", 32, 8)
    busy = []

    def classify(text):
        assert not busy, "Already borrowed"
        busy.append(text)
        try:
            return [
                {"word": "O ' B", "start": found.start(), "end": found.end(), "score": 0.99 if found[0].istitle() else 0.2}
                for found in re.finditer(r"[\\w']+", text)
            ]
        finally:
            busy.clear()

    return classify
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages of the same names and interfaces: the real ones weigh gigabytes."""
    for name, source in (("bertopic", BERTOPIC), ("transformers", TRANSFORMERS)):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    return tmp_path


def test_where_the_package_is_missing_it_is_off_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "bertopic", missing)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
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


@pytest.mark.parametrize("source", [UNREADY_BERTOPIC, BROKEN_BERTOPIC])
def test_a_model_that_makes_no_sense_of_a_text_is_off_from_the_start(packages: Path, source: str) -> None:
    (packages / "bertopic.py").write_text(source)
    with capture_logs() as logs:
        assert load_topics(str(packages), 3) is None
    assert [line["setting"] for line in logs] == ["TOPIC_MODEL"]


def test_the_models_that_a_model_names_are_not_downloaded_either(packages: Path) -> None:
    (packages / "bertopic.py").write_text("import os\nassert os.environ['HF_HUB_OFFLINE'] == '1'\n" + BERTOPIC)
    assert load_topics(str(packages), 3) is not None


def test_topics_are_the_first_words_of_the_topic(packages: Path) -> None:
    find = load_topics(str(packages), 2)
    assert find is not None
    assert find("tea time") == ["drinks", "tea"]
    assert find("trains") == []


def test_entities_are_what_the_model_is_sure_of_each_once(packages: Path) -> None:
    find = load_entities(str(packages))
    assert find is not None
    assert find("Anna met Oslo and Anna.") == ["Anna", "Oslo"]


def test_an_entity_stands_as_it_is_written(packages: Path) -> None:
    find = load_entities(str(packages))
    assert find is not None
    assert find("she met O'Brien") == ["O'Brien"]


def test_one_text_is_read_after_the_other(packages: Path) -> None:
    find = load_entities(str(packages))
    assert find is not None
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(find, ["Anna and " * 200] * 40)) == [["Anna"]] * 40
