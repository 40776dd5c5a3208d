"""Questions to DNS and their answers (RFC 1035), as much as a program needs that looks up a host. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address

_HEADER = struct.Struct(">HHHHHH")
_QUESTION = struct.Struct(">HH")
_ANSWER = struct.Struct(">HHHIH")
_A, _AAAA, _INTERNET = 1, 28, 1
_RESPONSE, _RECURSION, _AVAILABLE, _OPCODE = 0x8000, 0x0100, 0x0080, 0x7800
_NAME_ERROR = 3
#: To the name of the only question (4.1.4).
_POINTER = 0xC00C
#: Seconds that an answer is true; it may be another one after the next start.
_TTL = 5


@dataclass(frozen=True, slots=True)
class Question:
    """`name` as it was asked; `raw` is what an answer repeats."""

    number: int
    flags: int
    name: str
    kind: int
    raw: bytes


def parse_question(packet: bytes) -> Question | None:
    """None for what nobody has to answer."""
    if len(packet) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(packet)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels, at = [], _HEADER.size
    while at < len(packet) and (length := packet[at]):
        if length > 63 or at + 1 + length > len(packet):
            return None
        labels.append(packet[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    at += 1
    if at + _QUESTION.size > len(packet) or not labels:
        return None
    kind, world = _QUESTION.unpack_from(packet, at)
    if world != _INTERNET:
        return None
    return Question(number, flags, ".".join(labels), kind, packet[_HEADER.size : at + _QUESTION.size])


def answer(question: Question, address: str) -> bytes:
    """That the name has this address, which may be empty: then there is no such name."""
    known = ip_address(address) if address else None
    fits = known is not None and question.kind == (_A if known.version == 4 else _AAAA)
    flags = _RESPONSE | (question.flags & _RECURSION) | _AVAILABLE | (0 if known else _NAME_ERROR)
    packet = _HEADER.pack(question.number, flags, 1, int(fits), 0, 0) + question.raw
    if known is None or not fits:
        return packet
    packed = known.packed
    return packet + _ANSWER.pack(_POINTER, question.kind, _INTERNET, _TTL, len(packed)) + packed
