"""Which inputs matter? A tornado table of a calculation, from one backward pass, with Values as dictionary keys.

    python examples/tornado.py

What a roof of solar cells is worth after 20 years, as a function of eight uncertain inputs. The gradient says how far
each input can swing the result, to first order; a second difference says how far that can be trusted.
"""

import argparse

from tapegrad import Value, exp, log

#         input                       low     base    high
INPUTS = [("cells (kWp)",             9.0,    10.0,   10.5),
          ("sun (kWh per kWp)",     850.0,   950.0, 1050.0),
          ("price of power",          0.22,    0.30,   0.40),
          ("feed-in tariff",          0.06,    0.08,   0.09),
          ("share used at home",      0.20,    0.30,   0.45),
          ("ageing a year",           0.003,   0.005,  0.010),
          ("interest",                0.01,    0.03,   0.06),
          ("cost per kWp",         1300.0,  1500.0, 1900.0)]  # fmt: skip


def worth(cells, sun, price, tariff, share, ageing, interest, cost, years):
    """Net present value: what the power of each year is worth today, less the cost and some upkeep."""
    value = -cells * cost * (1 + 0.1 * log(10.0 / cells))  # larger roofs are cheaper per kWp
    for year in range(1, years + 1):
        energy = cells * sun * (1 - ageing) ** year
        earned = energy * (share * price + (1 - share) * tariff) - 150.0
        value = value + earned * exp(-interest * year)
    return value


def at(numbers, years):
    """The result at plain numbers, and its derivatives."""
    inputs = [Value(x) for x in numbers]
    result = worth(*inputs, years)
    result.backward()
    return result.data, [v.grad for v in inputs]


def shifted(numbers, i, x):
    return [*numbers[:i], x, *numbers[i + 1 :]]


def main():
    parser = argparse.ArgumentParser(description="Sensitivities of an investment.")
    parser.add_argument("--years", type=int, default=20, help="that the roof is used (default: 20)")
    arguments = parser.parse_args()
    years = arguments.years

    base = [row[2] for row in INPUTS]
    inputs = {Value(x): i for i, x in enumerate(base)}  # Values as keys: by identity, equal numbers do not collide
    result = worth(*inputs, years)
    result.backward()
    spread = {v: abs(v.grad) * (INPUTS[i][3] - INPUTS[i][1]) for v, i in inputs.items()}
    largest = max(spread.values())

    print(f"worth {result:.2f} after {years} years")
    print("input                  slope   swing by slope    true swing   curvature")
    errors, missed = [], []
    for v in sorted(spread, key=lambda v: -spread[v]):
        i = inputs[v]
        name, low, middle, high = INPUTS[i]
        h = 1e-4 * middle
        (below, slopes_below), (above, slopes_above) = (at(shifted(base, i, middle + d), years) for d in (-h, h))
        errors.append(abs((above - below) / (2 * h) / v.grad - 1))
        curvature = (slopes_above[i] - slopes_below[i]) / (2 * h)
        ends = [at(shifted(base, i, x), years)[0] for x in (low, high)]
        steps = [low - middle, high - middle]
        by_curve = [result.data + v.grad * d + curvature * d * d / 2 for d in steps]
        missed.append(max(abs(e - c) for e, c in zip(ends, by_curve, strict=True)) / largest)
        bar = "#" * round(30 * spread[v] / largest)
        print(f"{name:18} {v.grad:10.2f} {spread[v]:16.2f} {abs(ends[1] - ends[0]):13.2f} {curvature:11.2f}  {bar}")
    print(f"slopes against finite differences: largest relative error {max(errors):.1e}")
    print(f"slope and curvature against the true result at both ends: off by {max(missed):.1%} of the widest swing")


if __name__ == "__main__":
    main()
