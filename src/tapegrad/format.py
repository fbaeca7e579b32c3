"""Programs as bytes: a plain sequence of little-endian numbers, described in docs/programs.md.

Reading checks everything: what is no program, or a damaged one, is a ValueError.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from tapegrad.graph import Graph
from tapegrad.program import OPERATIONS, Program

__all__ = ["from_bytes", "to_bytes"]

MAGIC = b"TAPEGRAD"
VERSION = 1
HEADER = struct.Struct("<8sIIIIIII")  # magic, version, nodes, inputs, outputs, guards, recorded, bytes of text
GUARD = struct.Struct("<IdII")  # node, outcome, line, which text
# An operation is known by the checksum of its label, which does not change when the table grows.
CODES = {0: 0, 1: 1, **{zlib.crc32(label.encode()): code for code, label in enumerate(OPERATIONS) if code > 1}}
SUMS = {code: crc for crc, code in CODES.items()}


def to_bytes(program: Program) -> bytes:
    codes, *rest = program.graph.arrays()
    a, b, c = [np.frombuffer(x, dtype=np.int32).astype("<i4") for x in rest[:3]]
    values = np.frombuffer(rest[3], dtype=np.float64).astype("<f8")
    guards = [(node, outcome, file.replace("\n", " "), line) for node, outcome, (file, line) in program.guards]
    files = {file: k for k, file in enumerate(sorted({file for _, _, file, _ in guards}))}
    text = "\n".join(files).encode("utf-8", "surrogateescape")
    parts = [
        HEADER.pack(
            MAGIC,
            VERSION,
            len(codes),
            program.inputs,
            len(program.outputs_at),
            len(program.guards),
            program.recorded,
            len(text),
        ),
        np.array([SUMS[code] for code in codes], dtype="<u4").tobytes(),
        *[x.tobytes() for x in (a, b, c, values)],
        np.array(program.outputs_at, dtype="<i4").tobytes(),
        *[GUARD.pack(node, outcome, line, files[file]) for node, outcome, file, line in guards],
        text,
    ]
    data = b"".join(parts)
    return data + struct.pack("<I", zlib.crc32(data))


def from_bytes(data: bytes) -> Program:
    if type(data) is not bytes:
        data = bytes(memoryview(data))  # a TypeError for an int, which bytes() takes for a length
    if len(data) < HEADER.size + 4 or not data.startswith(MAGIC):
        raise ValueError("this is no saved program: it does not begin as one")
    _, version, nodes, inputs, outputs, guards, recorded, length = HEADER.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"a program saved in version {version} of the format; this release reads version {VERSION}")
    if len(data) != HEADER.size + 24 * nodes + 4 * outputs + GUARD.size * guards + length + 4:
        raise ValueError("a saved program that is cut off, or has something added")
    if zlib.crc32(memoryview(data)[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise ValueError("a saved program that is damaged: its checksum is another")
    at = HEADER.size

    def take(dtype: str, count: int) -> Any:
        nonlocal at
        array = np.frombuffer(data, dtype=dtype, count=count, offset=at)
        at += array.nbytes
        return array

    sums = take("<u4", nodes)
    unknown = set(sums.tolist()) - set(CODES)
    if unknown:
        raise ValueError("a saved program uses an operation that this release does not know")
    codes = np.array([CODES[crc] for crc in sums.tolist()], dtype=np.uint8)
    a, b, c = [take("<i4", nodes).astype(np.int32) for _ in range(3)]
    graph = Graph.from_arrays(codes, a, b, c, take("<f8", nodes).astype(np.float64))
    if graph.inputs != inputs:
        raise ValueError(f"a saved program says that it has {inputs} inputs and has {graph.inputs}")
    results: list[int] = take("<i4", outputs).tolist()
    found: list[tuple[int, float, int, int]] = [GUARD.unpack_from(data, at + k * GUARD.size) for k in range(guards)]
    at += guards * GUARD.size
    files = data[at : at + length].decode("utf-8", "surrogateescape").split("\n")
    if any(which >= len(files) for *_, which in found):
        raise ValueError("a saved program names a source file that it does not list")
    kept = [(node, outcome, (files[which], line)) for node, outcome, line, which in found]
    if recorded > 2**31 - 1:
        raise ValueError("a saved program says that more operations were recorded than can be")
    return Program(graph, results, kept, recorded)
