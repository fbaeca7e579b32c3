"""A program of a user's: recorded functions, their derivatives, batches of numpy arrays."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Program, Value, grad, record, value_and_grad, vmap


def price(s: Value, k: Value, sigma: Value) -> Value:
    d = tg.log(s / k) / sigma
    return s * tg.erfc(-d) - k * tg.erfc(sigma - d)


recorded = record(price, max_programs=8, check_finite=True)
number: float = recorded(100.0, 95.0, 0.2)
program = recorded.program(100.0, 95.0, 0.2)
assert_type(program, Program)
assert_type(program.operations, int)
path = Path(mkdtemp()) / "price"
program.save(path)
loaded = tg.load(path)
assert_type(loaded, Program)
out: NDArray[np.float64] = loaded([100.0, 95.0, 0.2])

slope: float = grad(price)(100.0, 95.0, 0.2)
pair: tuple[float, tuple[float, float]] = value_and_grad(price, argnums=(0, 1))(100.0, 95.0, 0.2)

spots: NDArray[np.float64] = np.linspace(80.0, 120.0, 5)
prices: NDArray[np.float64] = vmap(price, in_axes=(0, None, None), threads=1)(spots, 95.0, 0.2)
deltas: NDArray[np.float64] = vmap(grad(price), (0, None, None))(spots, 95.0, 0.2)


@record
def squares(xs: list[Value]) -> list[Value]:
    return [x**2 for x in xs]


def cubic(x: list[Value]) -> Value:
    return x[0] ** 2 * x[1]


@vmap
def scaled(x: Value) -> Value:
    larger: Value = tg.where(x > 0, x, 0.1 * x)
    return larger


row: list[float] = squares([1.0, 2.0])
jacobian: Any = tg.jacobian(squares, mode="forward")([1.0, 2.0])
hessian: Any = tg.hessian(cubic)([2.0, 3.0])
product: Any = tg.hvp(cubic)([2.0, 3.0], [1.0, 0.0])
value, tangent = tg.jvp(price, (100.0, 95.0, 0.2), (1.0, 0.0, 0.0))
y, back = tg.vjp(price, 100.0, 95.0, 0.2)
assert_type(back(1.0), tuple[Any, ...])
tg.check_grad(price, 100.0, 95.0, 0.2)
tg.show_config()
print(number, slope, pair, prices, deltas, scaled(spots), row, jacobian, hessian, product, value, tangent, y, out)
