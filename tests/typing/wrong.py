"""What a type checker must report: a line with an ignore is wrong, and an ignore that is not needed is an error."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import math

import numpy as np

import tapegrad as tg
from tapegrad import Program, Value, draw, fit, grad, record, vmap
from tapegrad.losses import mse_loss
from tapegrad.nn import Linear, Sequential
from tapegrad.optim import SGD, Adam, StepLR


def wrong(v: Value, program: Program, model: Linear) -> None:
    Value("1.0")  # type: ignore[arg-type]
    Value(1.0, lable="a")  # type: ignore[call-arg]
    Value(1.0, [2.0])  # type: ignore[list-item]
    v + "1"  # type: ignore[operator]
    "1" + v  # type: ignore[operator]
    print(v < None)  # type: ignore[operator]
    v % 2  # type: ignore[operator]
    float(v)  # type: ignore[arg-type]
    math.sin(v)  # type: ignore[arg-type]
    v.data = "1"  # type: ignore[assignment]
    v.gard = 0  # type: ignore[attr-defined]
    v.bakward()  # type: ignore[attr-defined]
    v.backward(1.0)  # type: ignore[call-arg]
    v.leaky_relu("0.1")  # type: ignore[arg-type]
    v.label = 1  # type: ignore[assignment]
    number: float = v.tanh()  # type: ignore[assignment]
    tg.tanh("1")  # type: ignore[call-overload]
    tg.maximum(v)  # type: ignore[call-overload]
    print(tg.nothing)  # type: ignore[attr-defined]
    record(1.0)  # type: ignore[arg-type]
    record(abs, max_programs="8")  # type: ignore[arg-type]
    grad(abs, argnums="x")  # type: ignore[arg-type]
    vmap(abs, reduce=1)  # type: ignore[arg-type]
    program.operations = 3  # type: ignore[misc]
    tg.load(1)  # type: ignore[arg-type]
    draw(v, nonsense=1)  # type: ignore[call-arg]
    fit(model, np.zeros(1), np.zeros(1))  # type: ignore[call-arg]
    fit(model, np.zeros(1), np.zeros(1), loss=mse_loss, epochs="1")  # type: ignore[arg-type]
    Linear("2", 1)  # type: ignore[arg-type]
    Sequential(1.0)  # type: ignore[arg-type]
    SGD(model, lr=0.1)  # type: ignore[arg-type]
    StepLR(model, step_size=1)  # type: ignore[arg-type]
    StepLR(Adam(model.parameters()))  # type: ignore[call-arg]
    print(number)
