"""Implied volatilities by Newton's method on Values, and the derivatives of what the iteration found.

    python examples/implied_volatility.py

How often the loop runs depends on the data (`while abs(miss) > tolerance`); the derivative of its result passes through
every turn. It must come out as the implicit function theorem says: if price(volatility, spot, ...) = quote, then
d volatility / d quote = 1 / vega and d volatility / d spot = -delta / vega, which are known in closed form.
"""

import argparse
import math
import random

from tapegrad import Value, erfc, exp, log, sqrt

SPOT, RATE, YEARS = 100.0, 0.03, 0.75


def normal(x):
    """The normal distribution function."""
    return 0.5 * erfc(-x / math.sqrt(2))


def density(x):
    return exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def d1_d2(spot, strike, rate, years, volatility):
    width = volatility * sqrt(years)
    d1 = (log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / width
    return d1, d1 - width


def call(spot, strike, rate, years, volatility):
    """Black and Scholes' price of a call, and its derivatives vega and delta in closed form."""
    d1, d2 = d1_d2(spot, strike, rate, years, volatility)
    price = spot * normal(d1) - strike * exp(-rate * years) * normal(d2)
    return price, spot * density(d1) * sqrt(years), normal(d1)


def implied(quote, spot, strike, rate, years, tolerance):
    """The volatility at which a call costs `quote`, and how many steps of Newton's method it took."""
    volatility, steps = Value(0.5), 0
    price, vega, _ = call(spot, strike, rate, years, volatility)
    miss = price - quote
    while abs(miss) > tolerance:
        volatility = volatility - miss / vega
        price, vega, _ = call(spot, strike, rate, years, volatility)
        miss = price - quote
        steps += 1
    # One step more: it does not move the volatility by much, but its derivative, which lags a step behind.
    return volatility - miss / vega, steps + 1


def smile(strike, noise):
    """The volatility that the quotes are made from."""
    moneyness = math.log(strike / SPOT)
    return 0.21 - 0.15 * moneyness + 0.6 * moneyness**2 + noise


def main():
    parser = argparse.ArgumentParser(description="Implied volatilities and their derivatives.")
    parser.add_argument("--strikes", type=int, default=13, help="from 70 to 130 (default: 13)")
    parser.add_argument("--tolerance", type=float, default=1e-10, help="of the price (default: 1e-10)")
    arguments = parser.parse_args()
    draw = random.Random(5)
    errors, found_errors = [], []
    print("strike     quote   implied steps   d/dquote     1/vega    d/dspot -delta/vega")
    for i in range(arguments.strikes):
        strike = 70.0 + 60.0 * i / max(arguments.strikes - 1, 1)
        truth = smile(strike, draw.gauss(0, 0.002))
        cost, vega, delta = call(SPOT, strike, RATE, YEARS, truth)
        quote, spot = Value(cost), Value(SPOT)
        found, steps = implied(quote, spot, strike, RATE, YEARS, arguments.tolerance)
        found.backward()
        errors += [abs(quote.grad * vega - 1), abs(spot.grad * vega / -delta - 1)]
        found_errors.append(abs(found.data - truth))
        print(
            f"{strike:6.1f} {cost:9.5f} {found:9.6f} {steps:5} {quote.grad:10.6f} {1 / vega:10.6f}"
            f" {spot.grad:10.6f} {-delta / vega:10.6f}"
        )
    print(f"largest error of a volatility: {max(found_errors):.1e}")
    print(f"largest relative error of a derivative: {max(errors):.1e}")


if __name__ == "__main__":
    main()
