"""One training step of the GPT in examples/: on the reference, and in the file with a plain Value class of its own."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapegrad.bench.backends import Skip, check_equal, contenders, reference
from tapegrad.bench.report import Row, rows
from tapegrad.bench.timing import collector, measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan

OURS, OWN = "gpt.py", "gpt_own_value.py"
CHECKOUTS = [Path(__file__).parents[3], Path()]  # where an editable install comes from; where `pip install .` was typed
CHECKED_STEPS = 5
FOREVER = 10**9  # steps until the learning rate is 0


def examples() -> Path:
    """The folder of the two files; Skip if this does not run in a checkout, as no wheel has them."""
    for checkout in CHECKOUTS:
        folder = checkout / "examples"
        if (checkout / "src" / "tapegrad").is_dir() and (folder / OURS).is_file() and (folder / OWN).is_file():
            return folder
    raise Skip(f"gpt needs examples/{OURS} and examples/{OWN}: run it in a checkout of the repository")


def load(path: Path, value: Any = None) -> ModuleType:
    """The program in a file, with another class of Values if one is given."""
    spec = spec_from_file_location(f"tapegrad_examples_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if value is not None:
        module.Value = value  # type: ignore[attr-defined]
    return module


def checked(module: ModuleType) -> list[float]:
    """The loss of every one of CHECKED_STEPS steps, and all parameters after them."""
    training = module.Training(1000)
    losses = [training.step() for _ in range(CHECKED_STEPS)]
    return losses + [p.data for p in training.model.parameters]


class Timed:
    """Steps on one and the same name, the longest, so that every sample is the same amount of work."""

    def __init__(self, module: ModuleType) -> None:
        self.training = module.Training(FOREVER)
        self.name = max(self.training.names, key=len)

    def __call__(self) -> dict[str, float]:
        start = perf_counter()
        loss = self.training.loss(self.name)
        built = perf_counter()
        loss.backward()
        swept = perf_counter()
        self.training.update()
        updated = perf_counter()
        del loss
        freed = perf_counter()
        return {"loss": built - start, "backward": swept - built, "Adam": updated - swept, "": freed - start}


def nodes(root: Any) -> int:
    seen, todo = {root}, [root]
    while todo:
        fresh = set(todo.pop()._children) - seen
        seen |= fresh
        todo += fresh
    return len(seen)


def step(plan: Plan, progress: Progress) -> Iterator[Row | str]:
    folder = examples()
    progress.say("checking")
    ours, own, slow = load(folder / OURS), load(folder / OWN), load(folder / OURS, reference().value)
    with collector(False):
        numbers = checked(ours)
        for what, module in (("its own class", own), ("the reference", slow)):
            check_equal(f"gpt, {CHECKED_STEPS} steps on {what}", numbers, checked(module))
    counted = Timed(own)
    size = nodes(counted.training.loss(counted.name))
    yield (
        f"{len(counted.training.model.parameters):,} parameters, {size:,} nodes a step (the name {counted.name!r}). "
        f"The second baseline is the class of about 70 lines in examples/{OWN}; losses and parameters are equal to "
        "the bit."
    )
    for baseline, module in (("reference", slow), ("own class", own)):
        timings = measure(contenders(Timed(module), Timed(ours)), progress.tick, plan.pace)
        yield from rows("training step", timings, "ms", 1e3, baseline)
