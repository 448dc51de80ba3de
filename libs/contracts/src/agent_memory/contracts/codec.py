"""One encoder, one decoder per union, made once."""

from typing import get_args

import msgspec

from agent_memory.contracts.envelope import CommandEnvelope, EventEnvelope
from agent_memory.contracts.errors import NeedsUpgrade
from agent_memory.contracts.events import AnyEvent
from agent_memory.contracts.replies import AnyReply, ReplyEnvelope
from agent_memory.contracts.upcasters import UPCASTERS, upcast

encode = msgspec.json.Encoder().encode
encode_into = msgspec.json.Encoder().encode_into
decode_json = msgspec.json.Decoder().decode

decode_command = msgspec.json.Decoder(CommandEnvelope).decode
decode_envelope = msgspec.json.Decoder(EventEnvelope).decode
decode_reply = msgspec.json.Decoder(ReplyEnvelope).decode
decode_outcome = msgspec.json.Decoder(AnyReply).decode

_decode_current: "msgspec.json.Decoder[AnyEvent]" = msgspec.json.Decoder(AnyEvent)


def known_types() -> frozenset[str]:
    """Every tag of events that this version can read."""
    return frozenset(kind.__name__ for kind in get_args(AnyEvent)) | UPCASTERS.keys()


def decode_event(type_: str, data: bytes | msgspec.Raw) -> AnyEvent:
    """The event of a stored row, whatever version it was written in. Raises NeedsUpgrade when it was a newer one than this."""
    try:
        if type_ in UPCASTERS:
            data = encode(upcast(decode_json(data)))  # by way of JSON, because parts of events stay raw
        return _decode_current.decode(data)
    except msgspec.ValidationError as error:
        raise NeedsUpgrade(
            f"an event {type_} was written by a newer version than this one, which cannot read it ({error});"
            " try again, or upgrade what answers this"
        ) from error
