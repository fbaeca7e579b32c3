"""Random damage to saved programs, with checksums that fit: refused with a ValueError, or programs that run.

As a script: python tests/files.py --count 100000 --seed 1
It prints the seed of the first file that does something else, and exits with status 1; where the process dies, the seed
that `--verbose` printed last is the one.
"""

import argparse
import pickle
import random
import struct
import sys
import zlib

import numpy as np

import tapegrad as tg
from tapegrad import format
from tapegrad.copies import _restore_graph, _restore_leaf
from tapegrad.program import Job, Lanes, from_bytes

WORDS = [0, 1, 2, 3, 7, 255, 256, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
REFUSED = (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, AttributeError, KeyError)
ODD = [None, True, 0, -1, 2**31, 2**70, 1.5, float("nan"), "", "+", "no such", "exp", "**n", b"x", (), [], [0], [1, 0],
       [2**40], {}, (0.5,), object, int, tg.Value]  # fmt: skip


def branchy(x, y):
    z = tg.where(x > y, x * y, tg.sin(y))
    return z * x + 2.0 if x > 0 else z - y


def sources():
    """Saved programs to begin with."""
    functions = [branchy, lambda x, y: tg.exp(-x) * tg.maximum(y, 0.5), lambda x, y: 3.0]
    found = [tg.value_and_grad(branchy, (0, 1)).program(0.7, 1.3).to_bytes()]
    return found + [tg.record(f).program(0.7, 1.3).to_bytes() for f in functions]


def repaired(data):
    return bytes(data[:-4]) + struct.pack("<I", zlib.crc32(data[:-4]))


def damaged(data, draw):
    """A file that differs from `data` in a few places: in bits, in numbers of the header, codes, operands, outputs."""
    data = bytearray(data)
    nodes = format.HEADER.unpack_from(data)[2]
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        kind = draw.randrange(7)
        at = draw.randrange(8, max(len(data) - 4, 9))
        if kind == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:  # a number of the header
            struct.pack_into("<I", data, 8 + 4 * draw.randrange(7), draw.choice([*WORDS, len(data), nodes + 1]))
        elif kind == 2 and nodes:  # another operation
            code, place = draw.choice(list(format.CODES)), format.HEADER.size + 4 * draw.randrange(nodes)
            struct.pack_into("<I", data, min(place, len(data) - 8), code)
        elif kind == 3 and nodes:  # another operand
            place = format.HEADER.size + 4 * nodes + 4 * draw.randrange(3 * nodes)
            struct.pack_into("<I", data, min(place, len(data) - 8), draw.choice([*WORDS, draw.randrange(nodes + 1)]))
        elif kind == 4:
            struct.pack_into("<I", data, min(at, len(data) - 8), draw.choice(WORDS))
        elif kind == 5:
            del data[at : at + draw.choice([1, 4, 24])]
        else:
            data[at:at] = draw.randbytes(draw.choice([1, 4, 24]))
        if len(data) < format.HEADER.size + 4:
            break
    return repaired(data) if draw.random() < 0.95 else bytes(data)


def load_and_run(data):
    """Whether it is a program; if it is, at a point, in lanes, listed and saved again."""
    try:
        program = from_bytes(data)
    except ValueError:
        return False
    x, out = np.linspace(-1.0, 2.0, program.inputs), np.empty(program.outputs)
    program.run(x, out)
    lanes = Lanes(program, bytes([1]) * program.inputs)
    columns = [np.linspace(-1.0, 1.0, 9)] * len(lanes.wide)
    Job(lanes, columns, x, 9, None, [None] * lanes.outputs).run(0, np.empty(lanes.outputs))
    str(program)
    again = program.to_bytes()
    if from_bytes(again).to_bytes() != again:
        raise AssertionError("what was loaded is saved and loaded as something else")
    return True


def pickled(draw):
    """Hostile arguments to what unpickles Values and programs."""
    try:
        if draw.random() < 0.3:
            _restore_leaf(*[draw.choice(ODD) for _ in range(4)])
        elif draw.random() < 0.3:
            v = tg.Value(1.0)
            v.__setstate__(draw.choice(ODD))
        else:
            nodes = [tg.Value(1.0), tg.Value(2)]
            for _ in range(draw.randrange(1, 4)):
                row = [tg.Value, draw.choice(["+", "exp", "**n", ""]), draw.choice([[0, 1], [0], []]), None, 1.5, 0]
                row += [None, None, None, None, None]
                for _ in range(draw.randrange(3)):
                    row[draw.randrange(len(row))] = draw.choice(ODD)
                nodes.append(tuple(row) if draw.random() < 0.95 else draw.choice(ODD))
            made = _restore_graph(nodes, draw.choice([0, -1, len(nodes) - 1, 99]))
            made.backward()
            pickle.dumps(made.data)
    except REFUSED:
        return False
    return True


def problem(seed, files):
    """None, or what went wrong with the file of that seed; and whether it was a program."""
    draw = random.Random(seed)
    try:
        if seed % 5 == 4:
            return None, pickled(draw)
        return None, load_and_run(damaged(draw.choice(files), draw))
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}", False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print each seed before it is tried")
    options = parser.parse_args()
    files, ran = sources(), 0
    for seed in range(options.seed, options.seed + options.count):
        if options.verbose:
            print(seed, flush=True)
        found, is_program = problem(seed, files)
        if found:
            print(found)
            return 1
        ran += is_program
    print(f"{options.count} files from seed {options.seed}: {ran} ran, the others were refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
