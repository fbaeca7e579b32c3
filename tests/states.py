"""Checkpoints that somebody has made up: one to three values of a real one changed, under a digest that fits.

Each is refused with a ValueError, and then the model, the optimiser and the schedule are as they were, or it trains on.

As a script: python tests/states.py --count 20000 --seed 1
It prints the seed of the first checkpoint that does something else, and exits with status 1.
"""

import argparse
import copy
import math
import os
import random
import sys
import tempfile

import numpy as np

from tapegrad import checkpoints, fit, losses, nn, optim

X = np.linspace(-1.0, 1.0, 6).reshape(-1, 1)
Y = 2.0 * X + 1.0
ODD = [None, True, False, 0, 1, -1, 3, 2**31, 2**53 + 1, -(2**63), 10**30, 10**400, -(10**400), 0.5, -0.0, 5e-324,
       -1e-9, 1e6, 1e308, math.nan, math.inf, -math.inf, "", "x", "0.5", "losses", "\x1b[2J", [], [[]], [0.0],
       [1.0, "x"], {}, {"lr": 1.0}, {"": None}]  # fmt: skip
OPTIMIZERS = [
    lambda p: optim.SGD(p, lr=0.05, momentum=0.5, nesterov=True),
    lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.1),
    lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    lambda p: optim.Adam([{"params": p[:1]}, {"params": p[1:], "lr": 0.02}], lr=0.01, amsgrad=True),
]
SCHEDULES = [
    lambda o: optim.StepLR(o, 2),
    lambda o: optim.ExponentialLR(o, 1.5),
    lambda o: optim.CosineAnnealingLR(o, 3, eta_min=0.001),
    lambda o: optim.LambdaLR(o, lambda epoch: 1.0 / (1 + epoch)),
    lambda o: optim.ReduceLROnPlateau(o, patience=0),
    lambda o: None,
]


class Run:
    """A run of two epochs at most, in small batches, and all that it may change."""

    def __init__(self, kind, path):
        self.path = path
        self.model = nn.Linear(1, 1, seed=0)
        self.optimizer = OPTIMIZERS[kind % len(OPTIMIZERS)](list(self.model.parameters()))
        self.schedule = SCHEDULES[kind % len(SCHEDULES)](self.optimizer)
        self.options = {"validation": 0.34} if kind % 5 == 0 else {}

    def fit(self, epochs):
        return fit(
            self.model,
            X,
            Y,
            loss=losses.mse_loss,
            optimizer=self.optimizer,
            schedule=self.schedule,
            epochs=epochs,
            batch_size=2,
            checkpoint=self.path,
            keep_best=True,
            progress=False,
            **self.options,
        )

    def everything(self):
        schedule = None if self.schedule is None else self.schedule.state_dict()
        return repr((self.model.state_dict(), self.optimizer.state_dict(), schedule))


def places(state, way=()):
    """The way to every value in nested dicts and lists."""
    yield way
    if isinstance(state, (dict, list)):
        for key in list(state) if isinstance(state, dict) else range(len(state)):
            yield from places(state[key], (*way, key))


def changed(state, draw):
    """The state with another value, with one less, one more, or one within another, in one to three places."""
    state = copy.deepcopy(state)
    for _ in range(draw.randrange(1, 4)):
        way = draw.choice([way for way in places(state) if way])
        part = state
        for key in way[:-1]:
            part = part[key]
        key, kind = way[-1], draw.randrange(10)
        old = part[key]
        if kind < 5:
            part[key] = copy.deepcopy(draw.choice(ODD))
        elif kind == 5:
            del part[key]
        elif kind == 6:
            part[key] = draw.choice([[old], {"x": old}, str(old), [old, old]])
        elif kind == 7 and isinstance(old, (int, float)) and not isinstance(old, bool):
            part[key] = draw.choice([-old, old + 1, old - 1, old * 1000, old // 7])
        elif isinstance(part, list):
            part.insert(key, copy.deepcopy(draw.choice(ODD)))
        else:
            part[draw.choice(["x", "lr", "step", "exp_avg", "__class__", "best"])] = copy.deepcopy(draw.choice(ODD))
        if not state:
            break
    return state


def originals(folder):
    """For each kind of run the state in its checkpoint, after an epoch or in the middle of the second."""
    found = []
    for kind in range(12):
        run = Run(kind, os.path.join(folder, f"original{kind}"))
        run.fit(1 + kind % 2)
        found.append(checkpoints.load(run.path))
    return found


def problem(seed, states, path):
    """What has come of the checkpoint of that seed: "refused", "trained on", "diverged", or what is wrong with it."""
    draw = random.Random(seed)
    kind = draw.randrange(len(states))
    checkpoints.save(path, changed(states[kind], draw))
    run = Run(kind, path)
    before = run.everything()
    try:
        history = run.fit(3)
    except ValueError as error:
        if run.everything() != before:
            return f"seed {seed}: a ValueError, and something has changed: {error}"
        if not str(error).startswith(path) or not str(error).isprintable():
            return f"seed {seed}: the error names no file, or has more than text in it: {error!r}"
        return "refused"
    except FloatingPointError as error:  # numbers that are possible and too large for it
        return "diverged" if "the loss is no number any more" in str(error) else f"seed {seed}: {error!r}"
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    return "trained on" if len(history) >= 1 and history.stopped == "epochs" else f"seed {seed}: {history!r}"


def problem_of_loading(seed, states):
    """The same of the states of the optimiser and the schedule alone, loaded by the program itself."""
    draw = random.Random(f"loading {seed}")
    kind = draw.randrange(len(states))
    run = Run(kind, "")
    for name in ("optimizer", "schedule"):
        loads = getattr(run, name)
        if loads is None:
            continue
        before = run.everything()
        try:
            loads.load_state_dict(changed(states[kind][name], draw))
        except ValueError as error:
            if run.everything() != before:
                return f"seed {seed}: a ValueError of the {name}, and something has changed: {error}"
        except Exception as error:
            return f"seed {seed}: {name}: {type(error).__name__}: {error}"
    try:
        for _ in range(3):
            for p in run.model.parameters():
                p.grad = 0.25
            run.optimizer.step()
            if run.schedule is not None:
                run.schedule.step(*[1.0] * isinstance(run.schedule, optim.ReduceLROnPlateau))
    except Exception as error:
        return f"seed {seed}: afterwards: {type(error).__name__}: {error}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = {"refused": 0, "trained on": 0, "diverged": 0}
    with tempfile.TemporaryDirectory() as folder:
        states = originals(folder)
        for seed in range(options.seed, options.seed + options.count):
            found = problem(seed, states, os.path.join(folder, "made up"))
            wrong = found if found not in counts else problem_of_loading(seed, states)
            if wrong:
                print(wrong)
                return 1
            counts[found] += 1
    what = ", ".join([f"{n} {name}" for name, n in counts.items()])
    print(f"{options.count} checkpoints from seed {options.seed}: {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
