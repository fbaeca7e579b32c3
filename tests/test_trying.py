"""Exceptions as branches: a replay takes the `except` branch where plain Python takes it."""

from __future__ import annotations

import asyncio
import contextlib
import dis
import functools
import math
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Value, grad, record, value_and_grad, vmap
from tapegrad.recorder import Recorder
from tapegrad.trying import could_catch, entries, error_of, raising
from tapegrad.value import _apply

INF, NAN = math.inf, math.nan


# ---- where an exception could be caught ----


def asked():
    """Whether the caller's frames, up to `outcome`, could catch an exception."""
    frame = sys._getframe(1)
    while frame.f_code is not outcome.__code__:
        frame = frame.f_back
    return could_catch(frame)


def outcome(f, *args):
    return f(*args)


def in_try():
    try:
        return asked()
    except ValueError:
        return None


def after_try():
    try:
        math.sqrt(4.0)
    except ValueError:
        return None
    return asked()


def before_try():
    found = asked()
    try:
        return found
    except ValueError:
        return None


def in_handler():
    try:
        raise KeyError
    except KeyError:
        return asked()


def in_named_handler():
    try:
        raise KeyError
    except KeyError as error:
        found = asked(), error
        return found[0]


def in_handler_in_try():
    try:
        try:
            raise KeyError
        except KeyError:
            return asked()
    except ValueError:
        return None


def in_else():
    try:
        x = 1
    except ValueError:
        return x
    else:
        return asked()


def in_else_of_inner():
    try:
        try:
            pass
        except KeyError:
            pass
        else:
            return asked()
    except ValueError:
        return None


def in_finally():
    try:
        pass
    finally:
        found = asked()
    return found


def in_suppress():
    with contextlib.suppress(ValueError):
        return asked()


def after_with():
    with contextlib.suppress(ValueError):
        pass
    return asked()


def in_caller():
    try:
        return (lambda: asked())()
    except ValueError:
        return None


def in_callers_caller():
    def outer():
        return [f() for f in [in_lambda]][0]  # noqa: RUF015

    with contextlib.nullcontext():
        return outer()


in_lambda = lambda: asked()  # noqa: E731


def in_comprehension():
    return [asked() for _ in range(1)][0]  # noqa: RUF015


def in_comprehension_in_try():
    try:
        return [asked() for _ in range(1)][0]  # noqa: RUF015
    except ValueError:
        return None


def in_inlined_comprehension_with_a_name_outside():
    x = 3
    found = [asked() for x in range(1)]
    return found[0] if x == 3 else None


def in_generator():
    def numbers():
        yield asked()

    return next(numbers())


def in_generator_with_try():
    def numbers():
        try:
            yield asked()
        except ValueError:
            yield None

    return next(numbers())


def in_generator_consumed_in_try():
    def numbers():
        yield asked()

    try:
        return list(numbers())[0]  # noqa: RUF015
    except ValueError:
        return None


def in_generator_made_in_try():
    try:
        numbers = (asked() for _ in range(1))
    except ValueError:
        return None
    return next(numbers)


def in_loop():
    for _ in range(3):
        try:
            found = asked()
        except ValueError:
            continue
    return found


def in_loop_outside():
    for _ in range(3):
        try:
            pass
        except ValueError:
            continue
        found = asked()
    return found


def in_long_code_in_try():
    return long_code("asked()", "y")


def after_long_code():
    return long_code("True", "asked()")


def long_code(inside, after):
    """A try block of more bytes than one number of the table takes, after as many."""
    names = {"asked": asked}
    filler = "\n".join(f"    x = [{k}, x]" for k in range(400))
    deep = filler.replace("    x", "        x")
    source = f"def f(x):\n{filler}\n    try:\n{deep}\n        y = {inside}\n    except ValueError:\n        y = None\n"
    exec(compile(source + f"    return {after}\n", "long", "exec"), names)
    return names["f"](0)


def in_coroutine():
    async def answer():
        return asked()

    return asyncio.run(answer())


def drive(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


async def plain():
    return asked()


async def awaited_in_try():
    try:
        return await plain()
    except ValueError:
        return None


def in_coroutine_awaited_in_try():
    return outcome_of_coroutine(awaited_in_try())


def outcome_of_coroutine(coroutine):
    frame = in_coroutine_awaited_in_try  # noqa: F841
    return drive(coroutine)


def in_sorted_key():
    try:
        return bool(sorted([1, 2], key=lambda x: asked())[0] == 1 and asked())
    except ValueError:
        return None


IN = [in_try, in_handler_in_try, in_else_of_inner, in_suppress, in_caller, in_callers_caller, in_comprehension_in_try,
      in_generator_with_try, in_generator_consumed_in_try, in_loop, in_long_code_in_try,
      in_coroutine_awaited_in_try, in_sorted_key]  # fmt: skip
OUT = [after_try, before_try, in_handler, in_named_handler, in_else, in_finally, after_with, in_lambda,
       in_comprehension, in_inlined_comprehension_with_a_name_outside, in_generator, in_generator_made_in_try,
       in_loop_outside, after_long_code]  # fmt: skip


@pytest.mark.parametrize("f", IN, ids=lambda f: f.__name__)
def test_code_in_a_try_is_known_as_such(f):
    assert outcome(f) is True
    assert outcome(f) is True  # by the table that is kept


@pytest.mark.parametrize("f", OUT, ids=lambda f: f.__name__)
def test_code_outside_every_try_is_known_as_such(f):
    assert outcome(f) is False


def test_a_try_outside_the_recorded_function_does_not_count():
    try:
        assert outcome(lambda: asked()) is False
    except ZeroDivisionError:
        raise


def test_tables_are_read_as_the_standard_library_reads_them():
    codes = [f.__code__ for f in IN + OUT]
    for module in (dis, functools, contextlib, asyncio.base_events):
        codes += [f.__code__ for f in vars(module).values() if hasattr(f, "__code__")]
    assert any(code.co_exceptiontable for code in codes)
    for code in codes:
        expected = [(e.start, e.end, e.target) for e in dis._parse_exception_table(code)]
        assert list(entries(code.co_exceptiontable)) == expected


# ---- where plain Python raises ----

POINTS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 709.7, 709.8, 710.5, -1000.0, 1e-310, 5e-324,
          1e308, -1e308, 1e200, math.pi, 2.0**53, INF, -INF, NAN,
          math.nextafter(-1.0, 0.0), math.nextafter(1.0, 2.0)]  # fmt: skip
UNARY = ["sqrt", "log", "log2", "log10", "log1p", "asin", "acos", "atan", "sin", "cos", "tan", "exp", "expm1", "sinh",
         "cosh", "tanh", "erf", "erfc", "floor", "ceil"]  # fmt: skip
BINARY = {
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
    "//": lambda a, b: a // b,
    "**": lambda a, b: a**b,
    "pow": math.pow,
    "atan2": math.atan2,
    "hypot": math.hypot,
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
}


def code_of(f, *args):
    """What plain Python raises, by the number that `raising` gives for it."""
    try:
        return 4 if isinstance(f(*args), complex) else 0
    except ValueError:
        return 1
    except OverflowError:
        return 2
    except ZeroDivisionError:
        return 3


def recorded_code(label, a, b=None):
    with Recorder(sys._getframe()):
        a, b = Value(a), Value(0.0 if b is None else b)
        if label in BINARY:
            y = _apply("**" if label == "pow" else label, a, b)
        else:
            y = round(a) if label == "round" else getattr(a, label)()
        raised = raising(label, a, b, y)
        return 0 if raised is None else int(tg.frozen(raised))


@pytest.mark.parametrize("name", UNARY)
def test_the_condition_of_an_error_is_the_one_of_pythons_math(name):
    for a in POINTS:
        assert recorded_code(name, a) == code_of(getattr(math, name), a), a


def test_round_raises_as_pythons_does():
    for a in POINTS:
        assert recorded_code("round", a) == code_of(round, a), a


@pytest.mark.parametrize("label", BINARY)
def test_the_condition_of_an_operators_error_is_pythons(label):
    for a in POINTS:
        for b in POINTS:
            expected = code_of(BINARY[label], a, b)
            if label == "**" and expected == 2 and a < 0.0 and b != int(b):
                expected = 4  # it is a complex number that is too large
            assert recorded_code(label, a, b) == expected, (a, b)


def test_errors_are_those_of_plain_python():
    assert isinstance(error_of(1, "log", -1.0, 0.0), ValueError)
    assert isinstance(error_of(1, "round", NAN, 0.0), ValueError)
    assert isinstance(error_of(2, "exp", 1000.0, 0.0), OverflowError)
    assert isinstance(error_of(2, "floor", INF, 0.0), OverflowError)
    assert isinstance(error_of(3, "/", 1.0, 0.0), ZeroDivisionError)
    assert isinstance(error_of(3, "**n", 0.0, -1.0), ZeroDivisionError)
    assert isinstance(error_of(4, "**", -1.0, 0.5), TypeError)


# ---- recorded functions ----


def log_or_hundred(x):
    try:
        y = tg.log(x)
    except ValueError:
        y = 100.0
    return y


def sqrt_in_a_caller(x):
    def inner(z):
        return tg.sqrt(z - 1.0) * 2.0

    try:
        return inner(x)
    except ValueError:
        return -x


def exp_overflow(x):
    try:
        return tg.exp(x) * 1.0
    except OverflowError:
        return x * 3.0


def reciprocal(x):
    try:
        return 1.0 / x
    except ZeroDivisionError:
        return 100.0


def quotient(x):
    try:
        return (x + 1.0) / (x - 1.0)
    except ZeroDivisionError:
        return x * 7.0


def quotient_by_a_constant(x):
    try:
        return x / 0.0
    except ZeroDivisionError:
        return x * 7.0


def power(x):
    try:
        return x**-2.0
    except ZeroDivisionError:
        return 5.0
    except OverflowError:
        return 6.0


def function_pow(x):
    try:
        return tg.pow(x, 0.5)
    except ValueError:
        return 5.0 - x


def function_pow_at_zero(x):
    try:
        return tg.pow(x, -1.5)
    except ValueError:
        return 5.0 - x
    except OverflowError:
        return 6.0 - x


def exponent(x):
    try:
        return 10.0**x
    except OverflowError:
        return x


def floor_of_infinity(x):
    try:
        return tg.floor(x * 1e300)
    except OverflowError:
        return -1.0
    except ValueError:
        return -2.0


def nested(x):
    total = 0.0
    for shift in (0.0, 1.0, 2.0):
        try:
            try:
                total = total + tg.log(x - shift)
            except ZeroDivisionError:
                total = total + 1000.0
            total = total + 1.0 / (x - 3.0)
        except ValueError:
            total = total + 10.0
        except ZeroDivisionError:
            return total
        else:
            total = total + 0.25
        finally:
            total = total * 2.0
    return total


def suppressed(x):
    y = x
    with contextlib.suppress(ValueError, ZeroDivisionError):
        y = tg.log(1.0 / x)
    return y + 1.0


def handler_that_computes(x):
    try:
        return tg.asin(x)
    except ValueError:
        try:
            return tg.log(x)
        except ValueError:
            return tg.exp(x)


def raised_again(x):
    def inner(z):
        try:
            return tg.log(z)
        except ValueError as error:
            raise KeyError("no log") from error

    try:
        return inner(x)
    except LookupError:
        return x * x


def round_of_infinity(x):
    y = x
    with contextlib.suppress(ValueError, OverflowError):
        y = x * 1e300 + round(x * 1e300)
    return y


def to_int_of_infinity(x):
    try:
        return 1.0 + tg.to_int(x * 1e300) % 2
    except (ValueError, OverflowError) as error:
        return -1.0 if isinstance(error, OverflowError) else -2.0


def math_floor(x):
    try:
        return math.floor(x * 1e300) * 1.0
    except (ValueError, OverflowError):
        return -3.0


def generated(x):
    def logs():
        for k in range(3):
            yield tg.log(x - k)

    found = []
    try:
        for y in logs():
            found.append(y)
    except ValueError:
        found.append(x)
    return sum(found, 0.0)


def newton(x):
    y = x
    for _ in range(20):
        try:
            y = y - (y * y - 2.0) / (2.0 * y)
        except ZeroDivisionError:
            y = 1.0
    return y


FUNCTIONS = [log_or_hundred, sqrt_in_a_caller, exp_overflow, reciprocal, quotient, quotient_by_a_constant, power,
             function_pow, function_pow_at_zero, exponent, floor_of_infinity, nested, suppressed, handler_that_computes,
             raised_again, round_of_infinity, to_int_of_infinity, math_floor, generated, newton]  # fmt: skip
SAMPLE = [2.0, -2.0, 0.0, -0.0, 1.0, 3.0, 4.5, 0.5, 1e-200, 1e200, 1000.0, -1000.0, INF, -INF, NAN]


def plainly(f, x):
    try:
        return f(x)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        return type(error)


def same(y, expected):
    if isinstance(expected, type):
        return True  # what is raised uncaught, a replay answers with inf or nan
    return y == expected or (math.isnan(y) and math.isnan(expected))


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_except_branch_is_taken_where_plain_python_takes_it(f):
    for first in SAMPLE:
        recorded = record(f)
        for x in [first, *SAMPLE]:
            expected = plainly(f, x)
            y = plainly(recorded, x)
            assert same(y, expected), (first, x, y, expected)


def test_gradients_and_batches_take_the_except_branch():
    both = value_and_grad(log_or_hundred)
    assert both(2.0) == (math.log(2.0), 0.5)
    assert both(-2.0) == (100.0, 0.0)
    assert both(4.0) == (math.log(4.0), 0.25)
    assert grad(sqrt_in_a_caller)(0.0) == -1.0
    xs = np.array([2.0, -1.0, 4.0, 0.0, -3.0])
    assert vmap(reciprocal)(np.array([2.0, 0.0, 4.0])).tolist() == [0.5, 100.0, 0.25]
    assert vmap(grad(log_or_hundred))(xs).tolist() == [0.5, 0.0, 0.25, 0.0, 0.0]


def test_without_a_try_replays_go_on_with_inf_and_nan():
    f = record(lambda x: tg.log(x) + 1.0 / x)
    assert f(1.0) == 1.0
    assert math.isnan(f(-1.0))
    assert math.isnan(f(0.0)) or math.isinf(f(0.0))
    assert len(f.programs) == 1
    assert f.programs[0].guards == ()


def test_a_try_around_the_call_adds_no_guards():
    f = record(lambda x: tg.log(x))
    try:
        assert f(1.0) == 0.0
        assert math.isnan(f(-1.0))
    except ValueError:
        pytest.fail("the recorded function raised")
    assert f.programs[0].guards == ()


def test_operations_that_cannot_raise_are_no_guards():
    @record
    def f(x):
        try:
            return tg.tanh(x * x + 1.0) + tg.sigmoid(x) - tg.maximum(x, 0.0)
        except ValueError:
            return 0.0

    f(1.0)
    assert f.programs[0].guards == ()


def test_the_line_of_the_operation_is_the_guards():
    f = record(log_or_hundred)
    f(1.0)
    ((_, outcome, (file, line)),) = f.programs[0].guards
    assert outcome == 0.0
    assert (file, line) == (__file__, log_or_hundred.__code__.co_firstlineno + 2)


def test_a_complex_power_is_refused_even_if_the_program_catches_that():
    @record
    def f(x):
        try:
            return x**0.5
        except Exception:
            return 100.0

    assert f(4.0) == 2.0
    for _ in range(2):
        with pytest.raises(TypeError, match="complex number in plain Python"):
            f(-4.0)
    assert f(9.0) == 3.0


@pytest.mark.parametrize("refused", [str, hash, float, lambda x: x.data], ids=["str", "hash", "float", "data"])
def test_what_is_refused_stays_refused_if_the_program_catches_the_error(refused):
    @record
    def f(x):
        try:
            refused(x)
        except Exception:
            return x * 2.0
        return x

    with pytest.raises(TypeError, match=r"test_trying\.py:\d+: "):
        f(1.5)


def test_what_is_refused_comes_before_what_the_program_makes_of_it():
    @record
    def f(x):
        try:
            return {1.5: x}[x]
        except TypeError:
            raise KeyError("another") from None

    with pytest.raises(TypeError, match=r"test_trying\.py:\d+: hash"):
        f(1.5)


def test_numpys_functions_raise_nothing_in_a_try():
    @record
    def f(x):
        try:
            return np.sum(np.log(x)) + np.sum(np.sqrt(x))
        except ValueError:
            return 100.0

    assert f(np.array([1.0, 1.0])) == 2.0
    assert math.isnan(f(np.array([-1.0, 1.0])))


def test_a_recorded_function_inside_another_is_part_of_its_try():
    inner = record(lambda x: tg.log(x))

    @record
    def f(x):
        try:
            return inner(x)
        except ValueError:
            return 100.0

    assert [f(1.0), f(-1.0), f(1.0)] == [0.0, 100.0, 0.0]
