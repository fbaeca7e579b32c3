"""Two schemes of linear advection, the test problems of the Adept paper: a profile q moves through a ring of cells.

A step is q[i] := q[i] + flux[i-1] - flux[i], with the Courant number c and flux[i] between the cells i and i + 1:
Lax and Wendroff:  c/2 (q[i] + q[i+1] + c (q[i] - q[i+1]))
Toon and others:   (exp(c log(q[i]/q[i+1])) - 1) q[i] q[i+1] / (q[i] - q[i+1])
The cost is half the squared distance to another profile after STEPS of them; wanted are its derivatives by the profile
at the beginning. The paper takes 2,000 steps of one profile, in a ring closed by two more cells; here are many of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Batch, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CELLS, STEPS, COURANT = 100, 40, 0.125
TARGET = 0.6 + 0.4 * np.sin(2 * np.pi * np.arange(CELLS) / CELLS)
BLOCK = 1000  # profiles whose history is kept at once
SOURCE = "R. J. Hogan, Fast reverse-mode automatic differentiation using expression templates in C++, 2014"


def lax_wendroff_flux(a: Any, b: Any, m: Any) -> Any:
    return 0.5 * COURANT * (a + b + COURANT * (a - b))


def toon_flux(a: Any, b: Any, m: Any) -> Any:
    return (m.exp(COURANT * m.log(a / b)) - 1.0) * a * b / (a - b)


def advection(flux: Callable[[Any, Any, Any], Any]) -> Callable[[Sequence[Any], Any], Any]:
    target = TARGET.tolist()

    def program(q: Sequence[Any], m: Any) -> Any:
        q = list(q)
        for _ in range(STEPS):
            fluxes = [flux(q[i], q[(i + 1) % CELLS], m) for i in range(CELLS)]
            q = [q[i] + fluxes[i - 1] - fluxes[i] for i in range(CELLS)]
        return 0.5 * m.sum([(qi - ti) ** 2 for qi, ti in zip(q, target, strict=True)])

    return program


def profiles(size: int) -> np.ndarray[Any, Any]:
    """One profile at many places and heights: exponential up and down, with a little noise.

    Toon's flux cancels where neighbours are nearly equal, and among random profiles some always are. These are not:
    what the scheme does depends neither on the height nor on the place.
    """
    k = np.arange(CELLS)
    noise = np.random.default_rng(7).uniform(-0.01, 0.01, CELLS)
    profile = np.exp(-0.07 * np.abs(k - 40.3) + noise)
    height = np.random.default_rng(size).uniform(0.5, 2, size)
    return np.asarray(height[:, None] * profile[(k - np.arange(size)[:, None]) % CELLS])


def lax_wendroff_answer(q: np.ndarray[Any, Any]) -> Answer:
    """In closed form: a step multiplies every Fourier coefficient by one number, and the adjoint by its conjugate."""
    angle = 2 * np.pi * np.arange(CELLS) / CELLS
    growth = 1 - COURANT**2 * (1 - np.cos(angle)) - 1j * COURANT * np.sin(angle)
    off = np.fft.ifft(np.fft.fft(q) * growth**STEPS).real - TARGET
    return 0.5 * (off**2).sum(1), np.fft.ifft(np.fft.fft(off) * growth.conj() ** STEPS).real


def toon_answer(q: np.ndarray[Any, Any]) -> Answer:
    """The adjoint by hand, block by block of profiles."""
    parts = [toon_adjoint(q[k : k + BLOCK]) for k in range(0, len(q), BLOCK)]
    return np.concatenate([cost for cost, _ in parts]), np.concatenate([gradient for _, gradient in parts])


def toon_adjoint(q: np.ndarray[Any, Any]) -> Answer:
    history = []
    for _ in range(STEPS):
        history.append(q)
        a, b = q, np.roll(q, -1, 1)
        flux = np.expm1(COURANT * np.log(a / b)) * a * b / (a - b)
        q = q + np.roll(flux, 1, 1) - flux
    off = q - TARGET
    g = off
    for a in history[::-1]:
        b = np.roll(a, -1, 1)
        d, power = a - b, (a / b) ** COURANT
        pull = np.roll(g, -1, 1) - g  # what the cost feels of each flux
        by_a = b * (COURANT * power * d - b * (power - 1)) / d**2
        by_b = a * (a * (power - 1) - COURANT * power * d) / d**2
        g = g + pull * by_a + np.roll(pull * by_b, 1, 1)
    return 0.5 * (off**2).sum(1), g


def make_lax_wendroff(size: int) -> Batch:
    q = profiles(size)
    return Batch(advection(lax_wendroff_flux), (q,), lambda: lax_wendroff_answer(q), by=1)


def make_toon(size: int) -> Batch:
    q = profiles(size)
    return Batch(advection(toon_flux), (q,), lambda: toon_answer(q), by=1)


LAX_WENDROFF = Problem(
    name="batch/lax-wendroff",
    summary="linear advection by Lax and Wendroff, 40 steps on 100 cells: gradients by the initial profile",
    source=SOURCE,
    make=make_lax_wendroff, sizes=(10, 100, 1_000, 10_000), size=1_000, quick=100,
    of="profiles", unit="us/profile", scale=lambda size: 1e6 / size,
)  # fmt: skip

TOON = Problem(
    name="batch/toon",
    summary="linear advection by Toon's scheme, 40 steps on 100 cells: gradients by the initial profile",
    source=SOURCE,
    make=make_toon, sizes=(10, 100, 1_000, 10_000), size=1_000, quick=100,
    of="profiles", unit="us/profile", scale=lambda size: 1e6 / size,
)  # fmt: skip
