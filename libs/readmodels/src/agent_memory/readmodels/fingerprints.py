"""What a node of the table of contents was, or would now be, written about from: equal for equal inputs. Pure."""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from agent_memory.readmodels.cutting import Segment


def of_segment(segment: Segment) -> str:
    """Stands for a segment's events, which never change."""
    return fingerprint([one.event_id for one in segment.members])


def of_period(parts: Iterable[tuple[str, int]]) -> str:
    """Stands for the parts of a period as they are now: their ids, in order of time, and versions."""
    return fingerprint([[node_id, version] for node_id, version in parts])


def fingerprint(value: object) -> str:
    """128 bits for one JSON-like value."""
    return blake2b(msgspec.json.encode(value), digest_size=16).hexdigest()
