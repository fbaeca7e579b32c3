"""Random Python functions, run plain and recorded: never another number in silence.

Each function is source text. Run on plain floats it is the oracle; recorded at one point and replayed at others it must
give the same number, of the same kind, or an error that names a line. Its gradient is compared with a forward mode of
our own at 50 digits (mpmath), away from kinks. By itself this module runs any number of functions:

    python tests/differential.py --functions 100000 --seed 0

A difference is printed as a program with what it takes to see it, after as much as possible has been left out.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import functools
import itertools
import math
import random
import re
import signal
import sys
import threading
import time
import warnings
from collections import Counter

import numpy as np

import tapegrad as tg

INF, NAN = math.inf, math.nan
ARITHMETIC = (ZeroDivisionError, ValueError, OverflowError)  # what a replay may answer with inf and nan


# ---- random programs ----

ORDINARY = [0.7, -1.3, 2.6, -0.4, 1.9, -3.1, 0.25, 5.5]
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.5,
    3.0,
    49.0,
    1e-310,
    -1e-310,
    1e300,
    -1e300,
    710.0,
    2.0**53,
    INF,
    -INF,
    NAN,
]
CONSTANTS = ["0.0", "1.0", "0.5", "2.0", "-1.5", "3.0", "0.1", "-1.0", "1", "2", "7"]
COMPARE = ["<", "<=", ">", ">=", "==", "!="]
SMOOTH = ["sin", "cos", "tanh", "atan", "sigmoid", "erf"]
RAISING = ["log", "sqrt", "exp", "asin", "acos", "log1p", "log2", "log10", "expm1", "sinh", "cosh"]


@dataclasses.dataclass
class Pair:
    """What the programs use as a dataclass."""

    first: object
    second: object


class Writer:
    """Writes one random function. `floats`, `ints`, `lists` and `arrays` are the names that are bound so far."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.floats = ["x", "y"]
        self.ints: list[str] = []
        self.lists: list[str] = []
        self.arrays: list[str] = []
        self.functions: list[str] = []
        self.names = itertools.count()
        self.loops = 0
        self.indent = 1
        self.parameters = {"x": "float", "y": "float"}
        r = self.random
        if r.random() < 0.25:
            self.parameters["n"] = "int"
            self.ints.append("n")
        if r.random() < 0.2:
            self.parameters["cfg"] = "dict"
            self.ints.append("cfg['n']")
            self.floats.append("cfg['w']")
        if r.random() < 0.2:
            self.parameters["xs"] = "list"
            self.lists.append("xs")
        if r.random() < 0.3:
            self.parameters["a"] = "array"
            self.arrays.append("a")

    # -- expressions --

    def one(self, *ways):
        return self.random.choice(ways)()

    def name(self, kind="v"):
        return f"{kind}{next(self.names)}"

    def number(self, depth=2) -> str:
        """A float, or now and then what Python makes of floats."""
        r, sub = self.random, lambda: self.number(depth - 1)
        if depth <= 0 or r.random() < 0.15:
            return r.choice(self.floats) if r.random() < 0.75 else r.choice(CONSTANTS)
        ways = [
            *[lambda: f"({sub()} {r.choice('+-*')} {sub()})"] * 6,
            *[lambda: f"({sub()} / {sub()})"] * 2,
            lambda: f"({sub()} % {sub()})",
            lambda: f"({sub()} // {sub()})",
            lambda: f"divmod({sub()}, {sub()})[{r.choice('01')}]",
            lambda: f"({sub()} ** {r.choice(['2', '3', '-1', '-2', '0', '2.0'])})",
            lambda: f"(abs({sub()}) ** {sub()})",
            lambda: f"abs({sub()})",
            lambda: f"(-{sub()})",
            lambda: f"({sub()} if {self.truth(depth - 1)} else {sub()})",
            lambda: f"({sub()} {r.choice(['and', 'or'])} {sub()})",
            lambda: f"{r.choice(['max', 'min'])}({sub()}, {sub()})",
            lambda: f"{r.choice(['max', 'min'])}({sub()}, {sub()}, {sub()})",
            lambda: f"tg.{r.choice(SMOOTH)}({sub()})",
            lambda: f"tg.{r.choice(SMOOTH)}({sub()})",
            lambda: f"tg.{r.choice(RAISING)}({sub()})",
            lambda: f"tg.{r.choice(['maximum', 'minimum'])}({sub()}, {sub()})",
            lambda: f"tg.where({self.truth(depth - 1)}, {sub()}, {sub()})",
            lambda: f"tg.clip({sub()}, -1.0, 2.0)",
            lambda: f"({self.truth(depth - 1)} {r.choice('+-*')} {sub()})",
            lambda: f"({sub()} {r.choice('+-*')} {self.integer(depth - 1)})",
            lambda: f"sum([{sub()}, {sub()}])",
            lambda: f"(lambda z: z * {sub()})({sub()})",
            lambda: f"round({sub()}, {r.choice('012')})",
            lambda: f"({sub()}, {sub()})[bool({self.truth(depth - 1)})]",
            lambda: f"[{sub()}, {sub()}, {sub()}][{self.integer(depth - 1)} % 3]",
            lambda: f"(w0 if (w0 := {sub()}) > {sub()} else {sub()})",
            lambda: f"sum(z * k for k, z in enumerate([{sub()}, {sub()}]))",
            lambda: f"sum(z - t for z, t in zip([{sub()}, {sub()}], ({sub()}, {sub()})))",
            lambda: f"{{z: t for z, t in enumerate([{sub()}, {sub()}])}}[{self.integer(depth - 1)} % 2]",
            lambda: f"tg.pow(abs({sub()}), {sub()})",
            lambda: f"tg.stop_gradient({sub()})",
        ]
        if self.lists:
            name = r.choice(self.lists)
            ways += [
                lambda: f"{r.choice(['sum', 'max', 'min'])}({name})",
                lambda: f"sorted({name})[0]",
                lambda: f"{name}[{self.integer(0)} % len({name})]",
                lambda: f"sum([z * {sub()} for z in {name} if z {r.choice(COMPARE)} {sub()}])",
                lambda: f"max({name}, key=lambda z: abs(z - {sub()}))",
                lambda: f"next((z for z in {name} if z > {sub()}), {sub()})",
            ]
        if self.arrays:
            array = r.choice(self.arrays)
            ways += [lambda: self.reduced(array, depth)] * 3
        if self.functions:
            ways += [lambda: f"{r.choice(self.functions)}({sub()})"] * 2
        return r.choice(ways)()

    def reduced(self, name, depth) -> str:
        r, sub = self.random, lambda: self.number(depth - 1)
        return r.choice(
            [
                lambda: f"np.{r.choice(['sum', 'max', 'min', 'mean'])}({self.array(name, depth)})",
                lambda: f"{name}.{r.choice(['sum', 'max', 'min', 'mean'])}()",
                lambda: f"np.sum({name}[{name} {r.choice(COMPARE)} {sub()}])",
                lambda: f"{name}[np.{r.choice(['argmax', 'argmin'])}({self.array(name, depth)})]",
                lambda: f"{name}[{r.choice('012')}]",
                lambda: f"np.sort({name})[{r.choice('012')}]",
                lambda: f"{name}[np.argsort({name})][0]",
                lambda: f"sum(z for z in {name} if z > {sub()})",
                lambda: f"np.median({name})",
            ]
        )()

    def array(self, name, depth) -> str:
        r, sub = self.random, lambda: self.number(depth - 1)
        return r.choice(
            [
                lambda: name,
                lambda: f"({name} {r.choice('+-*')} {sub()})",
                lambda: f"({name} / {sub()})",
                lambda: f"np.{r.choice(['maximum', 'minimum'])}({name}, {sub()})",
                lambda: f"np.where({name} {r.choice(COMPARE)} {sub()}, {name}, {sub()})",
                lambda: f"np.where(({name} > {sub()}) & ({name} < {sub()}), {name} * 2.0, -{name})",
                lambda: f"np.{r.choice(['abs', 'sign', 'sqrt', 'square', 'floor', 'cumsum', 'sort', 'diff'])}({name})",
                lambda: f"np.clip({name}, -1.0, {sub()})",
                lambda: f"({name} % {sub()})",
                lambda: f"np.log(np.abs({name}) * 0.0)",
            ]
        )()

    def integer(self, depth=1) -> str:
        r, sub = self.random, lambda: self.integer(depth - 1)
        if depth <= 0 or r.random() < 0.2:
            return r.choice([*self.ints, "1", "2", "3", "0"])
        ways = [
            lambda: f"({sub()} {r.choice('+-*')} {sub()})",
            lambda: f"({sub()} % {r.choice('234')})",
            lambda: f"({sub()} // {r.choice('23')})",
            lambda: f"round({self.number(depth - 1)})",
            lambda: f"tg.to_int({self.number(depth - 1)})",
            lambda: f"tg.{r.choice(['floor', 'ceil'])}({self.number(depth - 1)})",
            lambda: f"int({self.truth(depth - 1)})",
            lambda: f"math.{r.choice(['floor', 'ceil', 'trunc'])}({self.number(depth - 1)})",
            lambda: f"len({{{sub()}, {sub()}, {sub()}}})",
            lambda: f"({sub()} ** {r.choice('0123')})",
            lambda: f"(-{sub()})",
            lambda: f"len(str({sub()}))",
            lambda: f"max({sub()}, {sub()})",
            lambda: f"({self.truth(depth - 1)} + {self.truth(depth - 1)})",
            lambda: f"sum(z > {self.number(depth - 1)} for z in [{self.number(0)}, {self.number(0)}])",
            lambda: f"abs({sub()})",
        ]
        if self.lists:
            name = r.choice(self.lists)
            ways += [
                lambda: f"len({name})",
                lambda: f"{name}.count({self.number(depth - 1)})",
                lambda: f"{name}.index({r.choice(['x', 'y', f'max({name})', f'min({name})'])})",
                lambda: f"len([z for z in {name} if z {r.choice(COMPARE)} {self.number(depth - 1)}])",
            ]
        if self.arrays:
            array = r.choice(self.arrays)
            ways += [
                lambda: f"int(np.{r.choice(['argmax', 'argmin', 'count_nonzero'])}({array}))",
                lambda: f"int(np.sum({array} {r.choice(COMPARE)} {self.number(depth - 1)}))",
                lambda: f"len(np.unique({array}))",
            ]
        return r.choice(ways)()

    def truth(self, depth=1) -> str:
        r, sub = self.random, lambda: self.number(depth - 1)
        ways = [
            *[lambda: f"({sub()} {r.choice(COMPARE)} {sub()})"] * 5,
            lambda: f"({sub()} {r.choice(['==', '!='])} {sub()})",
            lambda: f"({sub()} {r.choice(COMPARE)} {sub()} {r.choice(COMPARE)} {sub()})",
            lambda: f"bool({sub()})",
            lambda: f"(not {sub()})",
            lambda: f"({sub()} + 0.0).is_integer()",
            lambda: f"isinstance({sub()}, {r.choice(['float', 'int', 'bool', '(int, float)'])})",
            lambda: f"(({sub()}, {sub()}) {r.choice(COMPARE)} ({sub()}, {sub()}))",
            lambda: f"([{sub()}, {sub()}] == [{sub()}, {sub()}])",
            lambda: f"({self.integer(depth - 1)} {r.choice(COMPARE)} {self.integer(depth - 1)})",
            lambda: f"({sub()} {r.choice(['in', 'not in'])} ({sub()}, {sub()}))",
        ]
        if depth > 0:
            ways += [
                lambda: f"(not {self.truth(depth - 1)})",
                lambda: (
                    f"({self.truth(depth - 1)} {r.choice(['and', 'or', '&', '|', '^', '=='])} {self.truth(depth - 1)})"
                ),
                lambda: f"{r.choice(['any', 'all'])}([{self.truth(depth - 1)}, {self.truth(depth - 1)}])",
                lambda: f"{r.choice(['any', 'all'])}(z > {sub()} for z in ({sub()}, {sub()}))",
                lambda: f"({sub()} == round({self.number(0)}))",
            ]
        if self.lists:
            name = r.choice(self.lists)
            ways += [
                lambda: f"({sub()} in {name})",
                lambda: f"({name} == sorted({name}))",
                lambda: f"any({name})",
                lambda: f"all(z {r.choice(COMPARE)} {sub()} for z in {name})",
            ]
        if self.arrays:
            array = r.choice(self.arrays)
            ways += [
                lambda: f"bool(np.{r.choice(['any', 'all'])}({array} {r.choice(COMPARE)} {sub()}))",
                lambda: f"bool(({array} == {array}[::-1]).all())",
            ]
        if "cfg" in self.parameters:
            ways += [lambda: "cfg['flag']"] * 2
        return r.choice(ways)()

    # -- statements --

    def put(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    @contextlib.contextmanager
    def block(self, header: str):
        """A block: what is bound in it is not known to be bound after it."""
        self.put(header)
        before = list(self.floats), list(self.ints), list(self.lists), list(self.arrays), list(self.functions)
        self.indent += 1
        count = len(self.lines)
        yield
        if len(self.lines) == count:
            self.put("pass")
        self.indent -= 1
        self.floats, self.ints, self.lists, self.arrays, self.functions = before

    def body(self, count=None) -> None:
        for _ in range(count or self.random.choice([1, 1, 2])):
            self.statement()

    def assign(self) -> None:
        r = self.random
        if r.random() < 0.5 and self.indent > 1:
            variables = [v for v in self.floats if v.isidentifier()]
            self.put(f"{r.choice(variables)} {r.choice(['=', '+=', '-=', '*='])} {self.number()}")
            return
        name = self.name()
        self.put(f"{name} = {self.number(3)}")
        self.floats.append(name)

    def statement(self) -> None:
        r = self.random
        simple = [
            *[self.assign] * 6,
            self.assign_integer,
            self.assign_list,
            self.change_list,
            self.assign_array,
            self.use_dict,
            self.use_pair,
            self.unpack,
        ]
        if self.indent > 3:
            return r.choice(simple)()
        blocks = [*[self.if_else] * 3, self.for_loop, self.while_loop, *[self.try_except] * 2, self.suppress,
                  self.closure, self.match, self.early_return, self.generator, self.recursion, self.search,
                  self.method, self.nonlocal_sum]  # fmt: skip
        return r.choice(simple + blocks)()

    def assign_integer(self) -> None:
        name = self.name("k")
        self.put(f"{name} = {self.integer(2)}")
        self.ints.append(name)

    def assign_list(self) -> None:
        name = self.name("l")
        expression = f"[{', '.join(self.number(1) for _ in range(3))}]"
        if self.lists and self.random.random() < 0.4:
            other = self.random.choice(self.lists)
            expression = self.random.choice(
                [
                    f"sorted({other})",
                    f"[z + {self.number(1)} for z in {other}]",
                    f"list(reversed({other}))",
                    f"sorted({other}, key=lambda z: -z)",
                ]
            )
        self.put(f"{name} = {expression}")
        self.lists.append(name)

    def change_list(self) -> None:
        own = [name for name in self.lists if name != "xs"]
        if not own:
            return self.assign_list()
        name = self.random.choice(own)
        return self.put(
            self.random.choice(
                [
                    f"{name}.append({self.number(1)})",
                    f"{name}.sort()",
                    f"{name}[0] = {self.number(1)}",
                    f"{name}.reverse()",
                ]
            )
        )

    def assign_array(self) -> None:
        name = self.name("a")
        if self.arrays and self.random.random() < 0.6:
            self.put(f"{name} = {self.array(self.random.choice(self.arrays), 2)}")
            if "diff" in self.lines[-1]:
                return
        else:
            self.put(f"{name} = np.array([{', '.join(self.number(1) for _ in range(3))}])")
        self.arrays.append(name)

    def use_dict(self) -> None:
        name, out = self.name("d"), self.name()
        self.put(
            f"{name} = {{0: {self.number(1)}, 1: {self.number(1)}, True: {self.number(1)}, 'p': {self.number(1)}}}"
        )
        key = self.random.choice(["0", f"{self.integer(1)} % 2", f"{self.truth(1)}", "'p'"])
        self.put(f"{out} = {name}[{key}] + {name}.get({self.integer(1)}, 0.5)")
        self.floats.append(out)

    def use_pair(self) -> None:
        name, out = self.name("p"), self.name()
        self.put(f"{name} = Pair({self.number(1)}, {self.number(1)})")
        comparison = f"{self.number(0)} if {name} == Pair({self.number(0)}, {self.number(0)}) else {name}.first"
        self.put(f"{out} = {self.random.choice([f'{name}.first - {name}.second', comparison])}")
        self.floats.append(out)

    def unpack(self) -> None:
        one, two = self.name(), self.name()
        self.put(f"{one}, {two} = {self.number(1)}, {self.number(1)}")
        self.floats += [one, two]

    def if_else(self) -> None:
        name = self.name()
        self.put(f"{name} = {self.number(1)}")
        self.floats.append(name)
        with self.block(f"if {self.random.choice([self.truth(2), self.truth(1), self.number(1)])}:"):
            self.put(f"{name} = {self.number()}")
            self.body(1)
        if self.random.random() < 0.4:
            with self.block(f"elif {self.truth(1)}:"):
                self.put(f"{name} = {self.number()}")
        if self.random.random() < 0.5:
            with self.block("else:"):
                self.body(1)

    def for_loop(self) -> None:
        r = self.random
        total = self.name()
        self.put(f"{total} = {self.number(1)}")
        self.floats.append(total)
        v = self.name("i")
        over = f"range({self.integer(1)} % 4)"
        is_float = bool(self.lists) and r.random() < 0.4
        if is_float:
            over = f"{r.choice(self.lists)}[:4]"
        with self.block(f"for {v} in {over}:"):
            (self.floats if is_float else self.ints).append(v)
            self.loops += 1
            if self.loops < 3:
                self.body(1)
            if r.random() < 0.4:
                with self.block(f"if {self.truth(1)}:"):
                    self.put(r.choice(["break", "continue"]))
            self.put(f"{total} = {r.choice(['', '0.5 * '])}{total} + {self.number(1)}")
            self.loops -= 1

    def while_loop(self) -> None:
        count = self.name("c")
        total = self.name()
        self.put(f"{count} = 0")
        self.put(f"{total} = {self.number(1)}")
        self.floats.append(total)
        with self.block(f"while {count} < 4 and {self.truth(1)}:"):
            self.put(f"{count} += 1")
            self.put(
                f"{total} = {self.random.choice([f'{total} * 0.5', f'{total} + {self.number(1)}', f'{total} // 2'])}"
            )
            if self.loops < 2:
                self.loops += 1
                self.body(1)
                self.loops -= 1
        self.ints.append(count)

    def try_except(self) -> None:
        r = self.random
        name = self.name()
        self.put(f"{name} = {self.number(0)}")
        self.floats.append(name)
        risky = r.choice(
            [
                lambda: f"tg.{r.choice(RAISING)}({self.number(1)})",
                lambda: f"{self.number(1)} / {self.number(1)}",
                lambda: f"{self.number(1)} % {self.number(1)}",
                lambda: f"{self.number(1)} ** -1",
                lambda: f"tg.pow({self.number(1)}, {self.number(1)})",
                lambda: f"round({self.number(1)})",
                lambda: f"{{1: {self.number(0)}}}[{self.integer(1)}]",
                lambda: f"[{self.number(0)}, {self.number(0)}][{self.integer(1)}]",
                lambda: self.number(2),
            ]
        )()
        with self.block("try:"):
            self.put(f"{name} = {risky}")
            if r.random() < 0.3:
                self.body(1)
            if r.random() < 0.2:
                with self.block(f"if {self.truth(1)}:"):
                    self.put("raise KeyError('mine')")
        caught = r.choice(
            [
                "ValueError",
                "ZeroDivisionError",
                "OverflowError",
                "ArithmeticError",
                "(ValueError, ArithmeticError)",
                "(ValueError, ArithmeticError, LookupError)",
            ]
        )
        with self.block(f"except {caught}:"):
            self.put(f"{name} = {self.number(1)}")
        if r.random() < 0.2:
            with self.block("else:"):
                self.put(f"{name} = {name} + {self.number(1)}")
        if r.random() < 0.2:
            with self.block("finally:"):
                self.put(f"{name} = {name} * 2.0")

    def suppress(self) -> None:
        name = self.name()
        self.put(f"{name} = {self.number(0)}")
        self.floats.append(name)
        with self.block("with suppress(ValueError, ArithmeticError):"):
            self.put(f"{name} = {self.number(2)}")

    def closure(self) -> None:
        name = self.name("f")
        with self.block(f"def {name}(z):"):
            self.floats.append("z")
            if self.random.random() < 0.5:
                with self.block(f"if {self.truth(1)}:"):
                    self.put(f"return {self.number(1)}")
            self.put(f"return {self.number(2)}")
        self.functions.append(name)

    def match(self) -> None:
        name = self.name()
        self.put(f"{name} = {self.number(1)}")
        self.floats.append(name)
        if self.random.random() < 0.5:
            with self.block(f"match {self.random.choice([self.number(1), self.integer(1), self.truth(1)])}:"):
                for _ in range(2):
                    with self.block(f"case {self.random.choice(['0', '1', '2.0', '0.5', '1 | 2', 'True'])}:"):
                        self.put(f"{name} = {self.number(1)}")
                with self.block("case _:"):
                    self.put(f"{name} = {name} + 1.0")
        else:
            with self.block(f"match ({self.number(1)}, {self.number(0)}):"):
                with self.block(f"case (u, w) if u {self.random.choice(COMPARE)} w:"):
                    self.floats += ["u", "w"]
                    self.put(f"{name} = {self.number(1)}")
                with self.block("case (0.0, w):"):
                    self.put(f"{name} = w")

    def early_return(self) -> None:
        if self.indent == 1 or self.random.random() < 0.5:
            with self.block(f"if {self.truth(1)}:"):
                self.put(f"return {self.number(1)}")
        else:
            self.put(f"return {self.number(1)}")

    def generator(self) -> None:
        name, out = self.name("g"), self.name()
        with self.block(f"def {name}():"):
            if self.random.random() < 0.5:
                with self.block("try:"):
                    self.put(f"yield {self.number(2)}")
                with self.block("except (ValueError, ArithmeticError):"):
                    self.put(f"yield {self.number(1)}")
            with self.block("for k in range(2):"):
                self.put(f"yield {self.number(2)}")
        self.put(f"{out} = {self.random.choice(['sum', 'max', 'min'])}({name}())")
        self.floats.append(out)

    def recursion(self) -> None:
        name, out = self.name("r"), self.name()
        with self.block(f"def {name}(z, k):"):
            with self.block(f"if k == 0 or z {self.random.choice(COMPARE)} {self.number(1)}:"):
                self.put("return z")
            self.put(f"return {name}(z * 0.5 + {self.number(1)}, k - 1)")
        self.put(f"{out} = {name}({self.number(1)}, 3)")
        self.floats.append(out)

    def search(self) -> None:
        name = self.name()
        self.put(f"{name} = {self.number(0)}")
        self.floats.append(name)
        with self.block(f"for z in ({self.number(1)}, {self.number(1)}):"):  # noqa: SIM117
            with self.block(f"if z {self.random.choice(COMPARE)} {self.number(1)}:"):
                self.put(f"{name} = z")
                self.put("break")
        with self.block("else:"):
            self.put(f"{name} = {self.number(1)}")

    def method(self) -> None:
        name, out = self.name("C"), self.name()
        with self.block(f"class {name}:"):
            with self.block("def __init__(self, z):"):
                self.put("self.z = z")
            with self.block("def value(self, t=1.0):"):
                self.put("return self.z * t")
            with self.block("def __lt__(self, other):"):
                self.put("return self.z < other.z")
        self.put(f"{out} = sorted([{name}({self.number(1)}), {name}({self.number(1)})])[0].value({self.number(0)})")
        self.floats.append(out)

    def nonlocal_sum(self) -> None:
        name, out = self.name("f"), self.name()
        self.put(f"{out} = {self.number(0)}")
        self.floats.append(out)
        with self.block(f"def {name}(z):"):
            self.put(f"nonlocal {out}")
            with self.block("try:"):
                self.put(f"{out} = {out} + {self.number(1)} / z")
            with self.block("except ZeroDivisionError:"):
                self.put(f"{out} = {out} - {self.number(1)}")
        self.put(f"{name}({self.number(1)})")
        self.put(f"{name}({self.number(1)})")

    def write(self) -> str:
        self.body(self.random.randint(1, 5))
        r = self.random
        number = lambda: self.number(2)  # noqa: E731
        result = r.choice(
            [
                *[number] * 8,
                lambda: self.integer(2),
                lambda: self.truth(2),
                lambda: f"({number()}, {self.integer(1)}, {self.truth(1)})",
                lambda: f"{{'p': {number()}, 'q': [{number()}, {self.truth(1)}]}}",
                lambda: f"Pair({number()}, {self.integer(1)})",
                *[lambda: self.array(r.choice(self.arrays), 2) for _ in self.arrays],
            ]
        )()
        self.put(f"return {result}")
        return f"def f({', '.join(self.parameters)}):\n" + "\n".join(self.lines) + "\n"


def points_for(parameters: dict[str, str], seed: int, count: int) -> list[tuple]:
    """Arguments: two ordinary points, then such with special numbers, ties and ints."""
    r = random.Random(f"points {seed}")

    def number(ordinary):
        return r.choice(ORDINARY) * r.choice([1.0, 0.9, 1.7]) if ordinary or r.random() < 0.5 else r.choice(SPECIAL)

    def argument(kind, k, tied):
        ordinary = k < 2
        if kind == "int":
            return r.choice([0, 1, 2, 3, -1])
        if kind == "dict":
            return {"n": r.choice([0, 1, 2, 3]), "w": number(ordinary), "flag": r.random() < 0.5}
        if kind == "list":
            xs = [number(ordinary) for _ in range(3)]
            return xs if ordinary or r.random() < 0.7 else [xs[0], r.choice([1, 2, True, xs[0]]), xs[2]]
        if kind == "array":
            xs = np.array([number(ordinary) for _ in range(3)])
            return xs if ordinary or r.random() < 0.6 else xs[[0, 0, 1]]
        return number(ordinary) if tied is None else tied + 0.0 * len(parameters)  # an object of its own

    points = []
    for k in range(count):
        tied = number(False) if k > 2 and r.random() < 0.25 else None
        points.append(tuple(argument(kind, k, tied) for kind in parameters.values()))
    return points


# ---- plain and recorded ----


@dataclasses.dataclass
class Raised:
    """A call that has raised."""

    error: BaseException


def compiled(source: str, math_functions: object = tg):
    """The function f of the source, whose lines an error can name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of programs made smaller
        code = compile(source, "<random>", "exec")
    names = {"tg": math_functions, "np": np, "Pair": Pair, "suppress": contextlib.suppress, "math": math}
    exec(code, names)
    return names["f"]


def copied(argument):
    """An argument that the function may change."""
    if isinstance(argument, list):
        return list(argument)
    return (
        dict(argument)
        if isinstance(argument, dict)
        else np.array(argument)
        if isinstance(argument, np.ndarray)
        else argument
    )


def outcome(f, point):
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return f(*[copied(argument) for argument in point])
    except RecursionError:
        raise
    except Exception as error:
        return Raised(error)


def plain(y):
    """The result with numpy's scalars as Python's, and dataclasses as tuples."""
    if isinstance(y, np.generic):
        return y.item()
    if isinstance(y, Pair):
        return (Pair, plain(y.first), plain(y.second))
    if isinstance(y, np.ndarray):
        return (np.ndarray, y.shape, y.tolist())
    if isinstance(y, (list, tuple)):
        return type(y)(plain(z) for z in y)
    if isinstance(y, dict):
        return {key: plain(z) for key, z in y.items()}
    return y


def same(y, expected, kinds=True) -> bool:
    """Whether the results are equal, nan to nan and, if asked for, an int to an int, a bool to a bool."""
    if isinstance(expected, (list, tuple)):
        return (
            type(y) is type(expected)
            and len(y) == len(expected)
            and all(same(a, b, kinds) for a, b in zip(y, expected, strict=True))
        )
    if isinstance(expected, dict):
        return type(y) is dict and list(y) == list(expected) and all(same(y[key], expected[key], kinds) for key in y)
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(y, float) and math.isnan(y)
    if kinds and type(y) is not type(expected):
        return False
    if isinstance(y, tg.Value):
        return False
    return bool(y == expected)


def is_finite(y) -> bool:
    """Whether there is a number in the result, and all of them are finite."""
    if isinstance(y, (list, tuple)):
        return any(not isinstance(z, type) for z in y) and all(is_finite(z) for z in y if not isinstance(z, type))
    if isinstance(y, dict):
        return bool(y) and all(map(is_finite, y.values()))
    return isinstance(y, (int, float)) and math.isfinite(y)


NAMES_A_LINE = re.compile(r":\d+:|:\d+\)|line \d+|:\d+\b")
OF_TAPEGRAD = (TypeError, ValueError, RuntimeError, FloatingPointError, IndexError, OverflowError, MemoryError)


def verdict(y, expected, kinds=True) -> str:
    """`ok`, or what is wrong with the recorded function's outcome."""
    if isinstance(expected, Raised):
        if isinstance(y, Raised):
            return "ok"
        if isinstance(expected.error, ARITHMETIC) or "complex" in str(expected.error):
            return "continued" if is_finite(plain(y)) else "ok"  # IEEE 754 goes on
        return "value for an error"
    if isinstance(y, Raised):
        if isinstance(y.error, OF_TAPEGRAD) and NAMES_A_LINE.search(str(y.error)):
            return "refused"
        return "unclear error"
    if is_complex(expected):
        return "ok" if not is_finite(plain(y)) else "value for a complex number"
    y, expected = plain(y), plain(expected)
    if same(y, expected, kinds):
        return "ok"
    return "kind" if same(y, expected, False) else "silent difference"


def is_numbers(y) -> bool:
    """Whether the result is what a recorded function may return."""
    if isinstance(y, (list, tuple)):
        return all(map(is_numbers, y))
    if isinstance(y, dict):
        return all(map(is_numbers, y.values()))
    if isinstance(y, Pair):
        return is_numbers((y.first, y.second))
    if isinstance(y, np.ndarray):
        return y.dtype.kind in "bif"
    return y is None or isinstance(y, (int, float, complex, np.number, np.bool_))


def is_complex(y) -> bool:
    if isinstance(y, (list, tuple)):
        return any(map(is_complex, y))
    if isinstance(y, Pair):
        return is_complex((y.first, y.second))
    if isinstance(y, dict):
        return any(map(is_complex, y.values()))
    return isinstance(y, complex)


WRONG = ("value for an error", "value for a complex number", "kind", "silent difference", "unclear error", "gradient")


@dataclasses.dataclass
class Finding:
    """A difference: the program, the points that it takes and what came out."""

    what: str
    source: str
    points: list[tuple]
    got: object
    expected: object
    transform: str = "record"

    def __str__(self) -> str:
        shown = [y.error if isinstance(y, Raised) else y for y in (self.got, self.expected)]
        first = f"# {self.what}: {self.transform} at {self.points}\n"
        return f"{first}# got {shown[0]!r}\n# expected {shown[1]!r}\n{self.source}"


def compare(source: str, points: list[tuple], wrong=WRONG, tally: Counter | None = None) -> Finding | None:
    """Record the function at the first of the points, and replay it at the others."""
    oracle = compiled(source)
    recorded = tg.record(compiled(source))
    if " in " in source and "tg.where" in source:  # which gives the same nan, the object, in plain Python
        points = [point for point in points if not any(x != x for x in point[:2])]
    for k, point in enumerate(points):
        expected, y = outcome(oracle, point), outcome(recorded, point)
        found = verdict(y, expected)
        if tally is not None:
            tally[found] += 1
            if found == "refused":
                tally["refused: " + short(y.error)] += 1
        if found in wrong:
            return Finding(found, source, points[: k + 1], y, expected)
    return None


def short(error: BaseException) -> str:
    text = re.sub(r"\S*:\d+:? ?", "", str(error))
    return f"{type(error).__name__}: {re.sub(r'[-+]?[0-9][-+.e0-9]*', '0', text)[:70]}"


# ---- gradients, by a forward mode at 50 digits ----

try:
    import mpmath
except ImportError:
    mpmath = None
else:
    CONTEXT = mpmath.mp.clone()
    CONTEXT.dps = 50


class Kink(Exception):  # noqa: N818
    """The point is too near to one at which there is no derivative, or where doubles are something else."""


class Dual:
    """A number at 50 digits with its derivatives by the function's inputs."""

    __slots__ = ("d", "v")
    __hash__ = None
    __class__ = float  # to isinstance

    def __init__(self, v, d=()) -> None:
        self.v = CONTEXT.mpf(v)
        self.d = d or (CONTEXT.zero,) * 2
        if not CONTEXT.isfinite(self.v) or abs(self.v) > 1e290 or 0 < abs(self.v) < 1e-290:
            raise Kink

    def made(self, v, slope):
        """The function with that value and that slope at self."""
        return Dual(v, tuple(slope * t for t in self.d))

    def near(self, point) -> None:
        """Complain if self is about to pass that number."""
        if any(self.d) and abs(self.v - point) < 1e-6 * (1 + abs(point)):
            raise Kink

    def against(self, other):
        """The difference, which a comparison looks at."""
        if not isinstance(other, NUMBERS):
            return None
        difference = self - other
        scale = abs(self.v) + abs(lift(other).v)
        if any(difference.d) and abs(difference.v) <= 1e-6 * scale + 1e-9:
            raise Kink
        if difference.v and abs(difference.v) <= 1e-13 * scale:
            raise Kink  # equal as doubles, perhaps
        return difference.v

    def __lt__(self, other):
        difference = self.against(other)
        return NotImplemented if difference is None else bool(difference < 0)

    def __le__(self, other):
        difference = self.against(other)
        return NotImplemented if difference is None else bool(difference <= 0)

    def __gt__(self, other):
        difference = self.against(other)
        return NotImplemented if difference is None else bool(difference > 0)

    def __ge__(self, other):
        difference = self.against(other)
        return NotImplemented if difference is None else bool(difference >= 0)

    def __eq__(self, other):
        difference = self.against(other)
        return NotImplemented if difference is None else bool(difference == 0)

    def __ne__(self, other):
        difference = self.against(other)
        return NotImplemented if difference is None else bool(difference != 0)

    def __bool__(self):
        self.near(0)
        return bool(self.v != 0)

    def __add__(self, other):
        if not isinstance(other, NUMBERS):
            return NotImplemented
        other = lift(other)
        return Dual(self.v + other.v, tuple(s + t for s, t in zip(self.d, other.d, strict=True)))

    __radd__ = __add__

    def __neg__(self):
        return self.made(-self.v, -1)

    def __pos__(self):
        return self

    def __sub__(self, other):
        return self + -other if isinstance(other, NUMBERS) else NotImplemented

    def __rsub__(self, other):
        return -self + other if isinstance(other, NUMBERS) else NotImplemented

    def __mul__(self, other):
        if not isinstance(other, NUMBERS):
            return NotImplemented
        other = lift(other)
        return Dual(self.v * other.v, tuple(s * other.v + self.v * t for s, t in zip(self.d, other.d, strict=True)))

    __rmul__ = __mul__

    def __truediv__(self, other):
        if not isinstance(other, NUMBERS):
            return NotImplemented
        other = lift(other)
        if not other.v:
            other.near(0)
            raise ZeroDivisionError
        y = self.v / other.v
        return Dual(y, tuple((s - y * t) / other.v for s, t in zip(self.d, other.d, strict=True)))

    def __rtruediv__(self, other):
        return lift(other) / self if isinstance(other, NUMBERS) else NotImplemented

    def __floordiv__(self, other):
        return divmod(self, other)[0] if isinstance(other, NUMBERS) else NotImplemented

    def __rfloordiv__(self, other):
        return divmod(lift(other), self)[0] if isinstance(other, NUMBERS) else NotImplemented

    def __mod__(self, other):
        return divmod(self, other)[1] if isinstance(other, NUMBERS) else NotImplemented

    def __rmod__(self, other):
        return divmod(lift(other), self)[1] if isinstance(other, NUMBERS) else NotImplemented

    def __divmod__(self, other):
        quotient = self / other
        quotient.off_integers()
        whole = Dual(CONTEXT.floor(quotient.v))
        return whole, self - whole * other

    def __rdivmod__(self, other):
        return divmod(lift(other), self)

    def off_integers(self, half=False) -> None:
        """Complain near an integer, or near a half; a constant integer may be one."""
        v = self.v + 0.5 if half else self.v
        nearest = CONTEXT.nint(v)
        if abs(v - nearest) < 1e-6 * (1 + abs(v)) and (any(self.d) or v != nearest):
            raise Kink

    def __pow__(self, other):
        if not isinstance(other, NUMBERS):
            return NotImplemented
        b = lift(other)
        if any(b.d):
            if self.v <= 0:
                raise Kink
            y = CONTEXT.power(self.v, b.v)
            log = CONTEXT.log(self.v)
            return Dual(y, tuple(y * (t * log + b.v * s / self.v) for s, t in zip(self.d, b.d, strict=True)))
        n = b.v
        if not n:
            return Dual(1)
        if not self.v:
            self.near(0)
            if n < 0:
                raise ZeroDivisionError
            return Dual(0)
        if self.v < 0 and n != CONTEXT.nint(n):
            raise Kink
        return self.made(CONTEXT.power(self.v, n), n * CONTEXT.power(self.v, n - 1))

    def __rpow__(self, other):
        return lift(other) ** self if isinstance(other, NUMBERS) else NotImplemented

    def __abs__(self):
        self.near(0)
        return -self if self.v < 0 else self

    def __round__(self, digits=None):
        if digits is None:
            self.off_integers(half=True)
            return int(CONTEXT.nint(self.v))
        scaled = self * 10**digits
        scaled.off_integers(half=True)
        return Dual(float(CONTEXT.nint(scaled.v) / 10**digits))

    def __floor__(self):
        self.off_integers()
        return int(CONTEXT.floor(self.v))

    def floor(self):
        self.off_integers()
        return Dual(CONTEXT.floor(self.v))

    def __ceil__(self):
        self.off_integers()
        return int(CONTEXT.ceil(self.v))

    def __trunc__(self):
        self.off_integers()
        return int(self.v)

    def sqrt(self):
        return HighPrecision.sqrt(self)

    def log(self):
        return HighPrecision.log(self)


NUMBERS = (Dual, int, float)


def lift(x) -> Dual:
    return x if isinstance(x, Dual) else Dual(x)


def high(value, slope, low=None, up=None, closed=True):
    """A function of one Dual or number that is defined between those bounds."""

    def function(x):
        x = lift(x)
        for bound in (low, up):
            if bound is not None:
                x.near(bound)
        if (low is not None and (x.v < low or (not closed and x.v == low))) or (up is not None and x.v > up):
            raise ValueError
        if x.v in (low, up):
            raise Kink  # the slope is infinite
        y = value(x.v)
        return x.made(y, slope(x.v, y)) if any(x.d) else Dual(y)

    return staticmethod(function)


def overflowing(value, slope):
    def function(x):
        x = lift(x)
        if abs(x.v) > 600:
            raise Kink
        y = value(x.v)
        return x.made(y, slope(x.v, y))

    return staticmethod(function)


class HighPrecision:
    """What stands for tapegrad in programs that compute at 50 digits."""

    if mpmath is not None:
        m = CONTEXT
        sin = high(m.sin, lambda x, y: CONTEXT.cos(x))
        cos = high(m.cos, lambda x, y: -CONTEXT.sin(x))
        tanh = high(m.tanh, lambda x, y: CONTEXT.sech(x) ** 2)
        atan = high(m.atan, lambda x, y: 1 / (1 + x * x))
        sigmoid = overflowing(lambda x: 1 / (1 + CONTEXT.exp(-x)), lambda x, y: y / (1 + CONTEXT.exp(x)))
        erf = high(m.erf, lambda x, y: 2 / CONTEXT.sqrt(CONTEXT.pi) * CONTEXT.exp(-x * x))
        exp = overflowing(m.exp, lambda x, y: y)
        expm1 = overflowing(m.expm1, lambda x, y: y + 1)
        sinh = overflowing(m.sinh, lambda x, y: CONTEXT.cosh(x))
        cosh = overflowing(m.cosh, lambda x, y: CONTEXT.sinh(x))
        sqrt = high(m.sqrt, lambda x, y: 1 / (2 * y), low=0)
        log = high(m.log, lambda x, y: 1 / x, low=0, closed=False)
        log2 = high(lambda x: CONTEXT.log(x, 2), lambda x, y: 1 / (x * CONTEXT.ln2), low=0, closed=False)
        log10 = high(m.log10, lambda x, y: 1 / (x * CONTEXT.ln10), low=0, closed=False)
        log1p = high(m.log1p, lambda x, y: 1 / (1 + x), low=-1, closed=False)
        asin = high(m.asin, lambda x, y: 1 / CONTEXT.sqrt(1 - x * x), low=-1, up=1)
        acos = high(m.acos, lambda x, y: -1 / CONTEXT.sqrt(1 - x * x), low=-1, up=1)

    floor = staticmethod(math.floor)
    ceil = staticmethod(math.ceil)
    to_int = staticmethod(math.trunc)
    maximum = staticmethod(max)
    minimum = staticmethod(min)

    @staticmethod
    def where(condition, x, y):
        return x if condition else y

    stop_gradient = staticmethod(lambda x: Dual(x.v) if isinstance(x, Dual) else x)

    @staticmethod
    def clip(x, low, up):
        return min(max(x, low), up)

    @staticmethod
    def pow(x, y):
        x, y = lift(x), lift(y)
        if (x.v < 0 and y.v != CONTEXT.nint(y.v)) or (not x.v and y.v < 0):
            x.near(0)
            y.off_integers()
            raise ValueError
        return x**y


def exact_gradient(source: str, point: tuple):
    """The value and the derivatives by the first two arguments at 50 digits; None near kinks."""
    f = compiled(source, HighPrecision)
    one, zero = CONTEXT.one, CONTEXT.zero
    arguments = [copied(argument) for argument in point]
    arguments[:2] = [Dual(point[0], (one, zero)), Dual(point[1], (zero, one))]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            y = f(*arguments)
        except Exception:
            return None
    if isinstance(y, bool) or not isinstance(y, (Dual, float)):
        return None
    try:
        y = lift(y)
    except Kink:
        return None
    return float(y.v), tuple(float(t) for t in y.d)


def gradient_differs(source: str, point: tuple, tally: Counter | None = None) -> Finding | None:
    """A gradient that is another than the one at 50 digits, at an ordinary point."""
    expected_value = outcome(compiled(source), point)
    if type(expected_value) is not float or not math.isfinite(expected_value):
        return None
    exact = exact_gradient(source, point)
    if exact is None:
        return None
    value, slopes = exact
    if not math.isclose(value, expected_value, rel_tol=1e-9, abs_tol=1e-12) or not all(abs(t) < 1e8 for t in slopes):
        return None  # doubles see another function there
    y = outcome(tg.value_and_grad(compiled(source), (0, 1)), point)
    if isinstance(y, Raised):
        found = verdict(y, expected_value)
        if tally is not None:
            tally["gradient " + found] += 1
        return Finding(found, source, [point], y, expected_value, "value_and_grad") if found in WRONG else None
    got_value, got = y
    largest = max(1.0, *map(abs, slopes), abs(value))
    if not same(plain(got_value), expected_value):
        return Finding("silent difference", source, [point], got_value, expected_value, "value_and_grad")
    if all(math.isclose(s, t, rel_tol=1e-6, abs_tol=1e-7 * largest) for s, t in zip(got, slopes, strict=True)):
        if tally is not None:
            tally["gradient ok"] += 1
        return None
    return Finding("gradient", source, [point], got, slopes, "value_and_grad")


# ---- minimal programs ----


def smaller(source: str):
    """Programs with a statement less, a block in place of its statement, or part of an expression in its place."""
    tree = ast.parse(source)
    places = list(ast.walk(tree))
    for k, node in enumerate(places):
        for field, old in ast.iter_fields(node):
            if isinstance(old, list) and old and isinstance(old[0], ast.stmt):
                for j, statement in enumerate(old):
                    for new in [[], *blocks_of(statement)]:
                        if new or len(old) > 1:
                            yield changed(source, k, field, old[:j], new, old[j + 1 :])
            elif isinstance(old, ast.expr) and not isinstance(old, (ast.Name, ast.Constant)):
                for child in ast.iter_child_nodes(old):
                    if isinstance(child, ast.expr):
                        yield changed(source, k, field, child)
                yield changed(source, k, field, ast.Constant(1.0))
            elif isinstance(old, list) and old and isinstance(old[0], ast.expr):
                for j, element in enumerate(old):
                    for child in ast.iter_child_nodes(element):
                        if isinstance(child, ast.expr) and not isinstance(element, ast.Attribute):
                            yield changed(source, k, field, [*old[:j], child, *old[j + 1 :]])
                    if not isinstance(element, (ast.Name, ast.Constant)):
                        yield changed(source, k, field, [*old[:j], ast.Constant(1.0), *old[j + 1 :]])


def blocks_of(statement: ast.stmt):
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if block and not isinstance(statement, ast.FunctionDef):
            yield block


def changed(source: str, k: int, field: str, *parts) -> str | None:
    """The source with another content in that field of its k-th node."""
    tree = ast.parse(source)
    node = list(ast.walk(tree))[k]
    new = parts[0] if len(parts) == 1 else [x for part in parts for x in part]
    setattr(node, field, new)
    try:
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    except Exception:
        return None


class TooLongError(BaseException):
    """A smaller program runs for too long: what ended its loop has been left out."""


def too_long(number, frame):
    raise TooLongError


@contextlib.contextmanager
def limited(seconds: float):
    """Raise TooLongError after that time."""
    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def shrunk(finding: Finding, test, seconds: float = 10.0) -> Finding:
    """The finding with the smallest program that shows one of the same kind, and as few points as possible."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return finding
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for candidate in smaller(finding.source):
            if candidate is None or len(candidate) >= len(finding.source):
                continue
            try:
                with limited(0.3):
                    found = test(candidate, finding.points)
            except (Exception, TooLongError):
                continue
            if found is not None and alike(found, finding):
                finding = found
                break
            if time.monotonic() > end:
                break
        else:
            break
    for k in range(len(finding.points) - 1, -1, -1):
        fewer = finding.points[:k] + finding.points[k + 1 :]
        if fewer:
            with contextlib.suppress(Exception):
                found = test(finding.source, fewer)
                if found is not None and alike(found, finding):
                    finding = found
    return finding


def alike(found: Finding, finding: Finding) -> bool:
    """Whether it is a finding of the same kind; a function that returns nothing shows less."""
    if found.what != finding.what or found.expected is None or not is_numbers(found.expected):
        return False
    raised = isinstance(found.got, Raised), isinstance(finding.got, Raised)
    return not any(raised) or (all(raised) and short(found.got.error) == short(finding.got.error))


# ---- many ----


def difference(
    seed: int,
    points: int = 8,
    wrong=WRONG,
    tally: Counter | None = None,
    gradients: bool = True,
    shrink: float = 10.0,
    avoid: str | None = None,
) -> Finding | None:
    """What is wrong with the random function of that seed: a Finding, or None."""
    writer = Writer(seed)
    source = writer.write()
    if avoid is not None and re.search(avoid, source):
        return None
    try:
        compiled(source)
    except SyntaxError:  # an assignment expression in a comprehension, say
        return None
    arguments = points_for(writer.parameters, seed, points)
    for order in (arguments, arguments[:1:-1]):
        found = compare(source, order, wrong, tally)
        if found is not None:
            return shrunk(found, functools.partial(compare, wrong=wrong), shrink)
    if gradients and mpmath is not None:
        for point in arguments[:2]:
            found = gradient_differs(source, point, tally)
            if found is not None and found.what in wrong:
                return shrunk(found, lambda s, p: gradient_differs(s, p[0]), shrink)
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--functions", type=int, default=1000, help="how many functions")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first")
    parser.add_argument("--points", type=int, default=8, help="points for each")
    parser.add_argument("--findings", type=int, default=20, help="stop after so many")
    parser.add_argument("--ignore", nargs="*", default=[], choices=WRONG, help="kinds of findings to pass over")
    parser.add_argument("--no-gradients", action="store_true")
    parser.add_argument("--shrink", type=float, default=10.0, help="seconds for making one finding smaller")
    parser.add_argument("--avoid", help="pass over functions whose source has this regular expression")
    options = parser.parse_args(arguments)
    wrong = tuple(kind for kind in WRONG if kind not in options.ignore)
    tally: Counter = Counter()
    findings = 0
    begin = time.monotonic()
    done = 0
    for done in range(1, options.functions + 1):
        seed = options.seed + done - 1
        found = difference(seed, options.points, wrong, tally, not options.no_gradients, options.shrink, options.avoid)
        if found is not None:
            findings += 1
            print(f"# seed {seed}\n{found}", flush=True)
            if findings >= options.findings:
                break
        if done % 1000 == 0:
            print(
                f"# {done} functions, {findings} findings, {time.monotonic() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    print(f"# {done} functions from seed {options.seed}: {findings} findings")
    for what, count in tally.most_common():
        print(f"# {count:8d} {what}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
