"""Runs classic BPF as the kernel would: enough of it for a filter of system calls."""

from __future__ import annotations

import struct

ARCHITECTURES = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}


def run(program: bytes, architecture: str, number: int, *arguments: int) -> int:
    """What the filter answers. An endless or crooked program raises."""
    six = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, ARCHITECTURES.get(architecture, 0), 0, *six)
    instructions = list(struct.iter_unpack("<HBBI", program))
    at = value = 0
    while True:
        code, true, false, k = instructions[at]
        at += 1
        if code == 0x20:
            assert k % 4 == 0
            (value,) = struct.unpack_from("<I", data, k)
        elif code == 0x05:
            at += k
        elif code == 0x06:
            return int(k)
        else:
            holds = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            at += true if holds else false
