"""A GPT that learns first names letter by letter, with every weight and every activation a scalar Value.

    python examples/gpt.py                                      # tapegrad's Value
    python examples/gpt_own_value.py                            # the same file with a plain Value class of its own
    tapegrad run --replace Value examples/gpt_own_value.py      # that class replaced by tapegrad's

All three print the same characters: every loss and every sampled name is equal to the last bit.
"""

import argparse
import math
import random
from itertools import pairwise
from pathlib import Path

from tapegrad import Value

NAMES = Path(__file__).with_name("names.txt")
WIDTH, HEADS, LAYERS, CONTEXT = 16, 4, 1, 12
RATE, BETA1, BETA2, TINY = 0.01, 0.85, 0.99, 1e-8
SEED = 2026


def matrix(rows, columns, draw):
    return [[Value(draw.gauss(0, 0.08)) for _ in range(columns)] for _ in range(rows)]


def linear(weights, x):
    return [sum(w * xi for w, xi in zip(row, x, strict=True)) for row in weights]


def rmsnorm(x):
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def add(x, y):
    return [a + b for a, b in zip(x, y, strict=True)]


def softmax(scores):
    highest = max(score.data for score in scores)
    powers = [(score - highest).exp() for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


class GPT:
    """Reads one letter at a time; `cache` keeps the keys and values of the letters before it, a pair for each layer."""

    def __init__(self, letters, draw):
        self.letters, self.places = matrix(letters, WIDTH, draw), matrix(CONTEXT, WIDTH, draw)
        shapes = {"query": (WIDTH, WIDTH), "key": (WIDTH, WIDTH), "value": (WIDTH, WIDTH), "mix": (WIDTH, WIDTH),
                  "up": (4 * WIDTH, WIDTH), "down": (WIDTH, 4 * WIDTH)}  # fmt: skip
        self.layers = [{name: matrix(*shape, draw) for name, shape in shapes.items()} for _ in range(LAYERS)]
        self.scores = matrix(letters, WIDTH, draw)
        inner = [weights for layer in self.layers for weights in layer.values()]
        matrices = [self.letters, self.places, *inner, self.scores]
        self.parameters = [p for weights in matrices for row in weights for p in row]

    def new_cache(self):
        return [([], []) for _ in self.layers]

    def __call__(self, letter, place, cache):
        """The scores of all letters to come next after `letter`, which stands at `place`."""
        x = rmsnorm(add(self.letters[letter], self.places[place]))
        for layer, (keys, values) in zip(self.layers, cache, strict=True):
            x = add(x, linear(layer["mix"], self.attend(layer, rmsnorm(x), keys, values)))
            hidden = [h.relu() for h in linear(layer["up"], rmsnorm(x))]
            x = add(x, linear(layer["down"], hidden))
        return linear(self.scores, x)

    def attend(self, layer, x, keys, values):
        """What each head takes from the letters so far, side by side."""
        query = linear(layer["query"], x)
        keys.append(linear(layer["key"], x))
        values.append(linear(layer["value"], x))
        size, out = WIDTH // HEADS, []
        for head in (slice(i, i + size) for i in range(0, WIDTH, size)):
            matches = [sum(q * k for q, k in zip(query[head], key[head], strict=True)) / size**0.5 for key in keys]
            weights = softmax(matches)
            columns = zip(*(value[head] for value in values), strict=True)
            out += [sum(w * v for w, v in zip(weights, column, strict=True)) for column in columns]
        return out


class Training:
    """Adam, one name a step, its rate falling in a straight line to 0 after `steps` of them."""

    def __init__(self, steps):
        self.draw = random.Random(SEED)
        self.names = NAMES.read_text().split()
        self.draw.shuffle(self.names)
        self.alphabet = ["", *sorted(set("".join(self.names)))]  # letter 0 begins and ends a name
        self.model = GPT(len(self.alphabet), self.draw)
        self.steps, self.done = steps, 0
        self.m = [0.0] * len(self.model.parameters)
        self.v = [0.0] * len(self.model.parameters)

    def loss(self, name):
        """The mean negative log-likelihood of the letters of `name`."""
        letters = [0, *[self.alphabet.index(c) for c in name], 0][: CONTEXT + 1]
        cache, losses = self.model.new_cache(), []
        for place, (letter, following) in enumerate(pairwise(letters)):
            likelihoods = softmax(self.model(letter, place, cache))
            losses.append(-likelihoods[following].log())
        return sum(losses) / len(losses)

    def step(self):
        """Train on the next name; the loss before that."""
        loss = self.loss(self.names[self.done % len(self.names)])
        loss.backward()
        self.update()
        return loss.data

    def update(self):
        """Adam's step down the gradient, which it then puts back to 0."""
        rate = RATE * (1 - self.done / self.steps)
        self.done += 1
        correction1, correction2 = 1 - BETA1**self.done, 1 - BETA2**self.done
        for i, p in enumerate(self.model.parameters):
            g = p.grad
            self.m[i] = m = BETA1 * self.m[i] + (1 - BETA1) * g
            self.v[i] = v = BETA2 * self.v[i] + (1 - BETA2) * g * g
            p.data -= rate * (m / correction1) / ((v / correction2) ** 0.5 + TINY)
            p.grad = 0

    def sample(self, temperature):
        """A new name; the lower the temperature, the more likely letters are preferred."""
        cache, letter, name = self.model.new_cache(), 0, ""
        for place in range(CONTEXT):
            likelihoods = softmax([score / temperature for score in self.model(letter, place, cache)])
            [letter] = self.draw.choices(range(len(self.alphabet)), [p.data for p in likelihoods])
            if letter == 0:
                break
            name += self.alphabet[letter]
        return name


def main():
    parser = argparse.ArgumentParser(description="Train a small GPT on first names and sample from it.")
    parser.add_argument("--steps", type=int, default=1000, help="training steps, one name each (default: 1000)")
    parser.add_argument("--samples", type=int, default=20, help="names to sample (default: 20)")
    parser.add_argument("--temperature", type=float, default=0.5, help="of the samples (default: 0.5)")
    arguments = parser.parse_args()
    training = Training(arguments.steps)
    letters = len(training.alphabet)
    print(f"{len(training.names)} names, {letters} letters, {len(training.model.parameters)} parameters")
    losses = []
    for step in range(1, arguments.steps + 1):
        losses.append(training.step())
        print(f"step {step} loss {losses[-1]!r}")
    part = max(1, len(losses) // 10)
    first, last = sum(losses[:part]) / part, sum(losses[-part:]) / part
    print(f"mean loss, first {part}: {first!r}, last {part}: {last!r}, blind guess: {math.log(letters)!r}")
    for i in range(1, arguments.samples + 1):
        print(f"sample {i} {training.sample(arguments.temperature)}")


if __name__ == "__main__":
    main()
