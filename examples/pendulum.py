"""Where did this double pendulum start? Its initial angles, found by gradient descent through thousands of time steps.

    python examples/pendulum.py

Every time step is a few dozen operations on Values, so that the graph is hundreds of thousands of nodes, and tens of
thousands of them deep. The gradient is checked against a finite difference of the same simulation on plain floats.
"""

import argparse

from tapegrad import Value, cos, sin

GRAVITY, SECONDS, OBSERVATIONS = 9.81, 2.0, 12
TRUTH, GUESS = (0.9, -0.4), (0.7, -0.1)  # radians of the two arms, both of length 1 and mass 1, at rest


def accelerations(a, b, va, vb):
    """Of the angles a and b, which move at va and vb."""
    sine, cosine = sin(a - b), cos(a - b)
    below = 3 - cos(2 * (a - b))
    pull_a = -3 * GRAVITY * sin(a) - GRAVITY * sin(a - 2 * b) - 2 * sine * (vb * vb + va * va * cosine)
    pull_b = 2 * sine * (2 * va * va + 2 * GRAVITY * cos(a) + vb * vb * cosine)
    return pull_a / below, pull_b / below


def observe(a, b, steps):
    """The angles at OBSERVATIONS moments; semi-implicit Euler: the speeds first, then the angles."""
    dt, va, vb, seen = SECONDS / steps, 0.0, 0.0, []
    for step in range(1, steps + 1):
        pull_a, pull_b = accelerations(a, b, va, vb)
        va, vb = va + dt * pull_a, vb + dt * pull_b
        a, b = a + dt * va, b + dt * vb
        if step % (steps // OBSERVATIONS) == 0:
            seen.append((a, b))
    return seen


def misfit(start, measured, steps):
    """The mean square distance of the angles from the measured ones: numbers in, number out; Values in, Value out."""
    seen = observe(*start, steps)
    squares = [(x - y) ** 2 for s, m in zip(seen, measured, strict=True) for x, y in zip(s, m, strict=True)]
    return sum(squares) / len(squares)


def gradient(start, measured, steps):
    values = [Value(x) for x in start]
    loss = misfit(values, measured, steps)
    loss.backward()
    return loss.data, [v.grad for v in values]


def finite_difference(start, measured, steps, h=1e-5):
    slopes = []
    for i in range(len(start)):
        above, below = ([x + d * (i == j) for j, x in enumerate(start)] for d in (h, -h))
        slopes.append((misfit(above, measured, steps) - misfit(below, measured, steps)) / (2 * h))
    return slopes


def main():
    parser = argparse.ArgumentParser(description="Fit the initial angles of a double pendulum.")
    parser.add_argument("--steps", type=int, default=4800, help="time steps of the simulation (default: 4800)")
    parser.add_argument("--iterations", type=int, default=40, help="of gradient descent (default: 40)")
    arguments = parser.parse_args()
    steps = max(OBSERVATIONS, arguments.steps // OBSERVATIONS * OBSERVATIONS)
    measured = observe(*TRUTH, steps)
    start, rate = list(GUESS), 0.1
    loss, slopes = gradient(start, measured, steps)
    checks = finite_difference(start, measured, steps)
    error = max(abs(s - c) / abs(c) for s, c in zip(slopes, checks, strict=True))
    print(f"gradient {slopes[0]!r} {slopes[1]!r}")
    print(f"finite difference {checks[0]!r} {checks[1]!r}: largest relative error {error:.1e}")
    for iteration in range(1, arguments.iterations + 1):
        trial = [x - rate * s for x, s in zip(start, slopes, strict=True)]
        new_loss, new_slopes = gradient(trial, measured, steps)
        if new_loss < loss:  # a longer step next time; a step that made it worse is taken back and halved
            start, loss, slopes, rate = trial, new_loss, new_slopes, rate * 1.3
        else:
            rate /= 2
        print(f"iteration {iteration} misfit {loss!r} angles {start[0]:.6f} {start[1]:.6f}")
    print(f"off by {max(abs(x - t) for x, t in zip(start, TRUTH, strict=True)):.1e} rad from {TRUTH}")


if __name__ == "__main__":
    main()
