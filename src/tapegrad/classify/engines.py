"""The same epoch of training on recorded functions, on eager Values, and on the reference in plain Python.

`python -m tapegrad.classify.engines` is the eager one: it takes a job as JSON and gives what came of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapegrad.classify import network

if TYPE_CHECKING:
    import argparse

    from tapegrad.classify.network import Classifier
    from tapegrad.classify.pictures import Pictures

__all__ = ["compare"]


def compare(arguments: argparse.Namespace, classifier: Classifier, training: Pictures) -> None:
    """Train one epoch on each engine from the same start, and print the times and by how much the parameters differ."""
    from tapegrad.classify.training import fitted, rate
    from tapegrad.trainer import order

    samples = order(arguments.seed, 1, len(training))
    n = arguments.batch_size
    job = {
        "classifier": {name: x for name, x in vars(classifier).items() if name != "network"},
        "loss": arguments.loss,
        "optimizer": arguments.optimizer,
        "lr": rate(arguments),
        "X": training.X.tolist(),
        "y": training.y.tolist(),
        "batches": [samples[k : k + n] for k in range(0, len(samples), n)],
    }
    own = deepcopy(classifier)
    start = perf_counter()
    fitted(arguments, own, training, epochs=1, patience=None, validation=None, checkpoint=None, progress=False)
    recorded = perf_counter() - start
    parameters = [p.data for p in own.network.parameters()]
    print(f"one epoch, {len(training)} pictures in batches of {n}:")
    print(f"  recorded   {recorded:8.3f} s, with the recording itself, the loss and the accuracy at its end")
    for name, pure in (("eager", "0"), ("reference", "1")):
        done = subprocess.run(
            [sys.executable, "-m", "tapegrad.classify.engines"],
            input=json.dumps(job),
            env={**os.environ, "TAPEGRAD_PURE": pure},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"the {name} engine failed:\n{done.stderr}")
        result = json.loads(done.stdout)
        largest = max(abs(a - b) for a, b in zip(parameters, result["parameters"], strict=True))
        seconds = result["seconds"]
        print(
            f"  {name:10} {seconds:8.3f} s, {seconds / recorded:.1f} times; parameters differ by {largest:.0e} at most"
        )


def epoch(job: dict[str, Any]) -> dict[str, Any]:
    """One epoch on the Values of this process."""
    classifier = network.Classifier(**job["classifier"])
    model, loss = classifier.network, network.loss(job["loss"])
    optimizer = network.optimizer(job["optimizer"], model.parameters(), job["lr"])
    start = perf_counter()
    for batch in job["batches"]:
        optimizer.zero_grad()
        losses: list[Any] = [loss(model(job["X"][k]), job["y"][k]) for k in batch]
        mean: Any = sum(losses) / len(losses)
        mean.backward()
        optimizer.step()
    return {"seconds": perf_counter() - start, "parameters": [p.data for p in model.parameters()]}


if __name__ == "__main__":
    print(json.dumps(epoch(json.load(sys.stdin))))
