"""When an index has to be built anew."""

import msgspec
import pytest

from agent_memory.indexer.domain import needs_rebuild
from agent_memory.readmodels.generations import Generation
from agent_memory.readmodels.schemas import LAYOUT

LIVE = Generation(kind="timeline", number=1, model="m", dimensions=8, algorithm="HNSW", created_ms=1, layout=LAYOUT)


def test_an_index_as_it_would_be_made_now_stays() -> None:
    assert not needs_rebuild(LIVE, "m", 8, "hnsw")


@pytest.mark.parametrize("other", [{"model": "n"}, {"dimensions": 9}, {"algorithm": "FLAT"}, {"layout": LAYOUT - 1}])
def test_other_vectors_another_algorithm_or_other_fields_make_a_new_one(other: dict[str, object]) -> None:
    assert needs_rebuild(msgspec.structs.replace(LIVE, **other), "m", 8, "HNSW")


def test_an_index_that_does_not_say_its_layout_is_of_the_first() -> None:
    stored = b'{"kind": "memory", "number": 1, "model": "m", "dimensions": 8, "algorithm": "HNSW", "created_ms": 1}'
    assert msgspec.json.decode(stored, type=Generation).layout == 1
