"""The plots of docs/guide: `python docs/images/plots.py`; with `--modes`, 20 seconds, also the one that is measured."""

import random
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("agg")
matplotlib.rcParams.update({"svg.hashsalt": "tapegrad", "savefig.dpi": 110})

from matplotlib import pyplot  # noqa: E402

from tapegrad import plots  # noqa: E402
from tapegrad.optim import SGD  # noqa: E402

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


def save(figure, name):
    figure.savefig(HERE / name, metadata={"Date": None} if name.endswith(".svg") else {"Software": None})


def slope():
    figure, axes = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
    plots.function_and_derivative(lambda x: 2 * x**2 - 3 * x + 4, axes=axes)
    save(figure, "slope.svg")


def descent():
    def valley(x, y):
        return x**2 + 10 * y**2

    figure, axes = pyplot.subplots(figsize=(5.5, 3.2), layout="constrained")
    plots.descent(valley, plots.descend(valley, (2.0, 1.0), 40, lambda p: SGD(p, lr=0.09)), axes=axes)
    save(figure, "descent.png")


def moons():
    example = runpy.run_path(str(EXAMPLES / "two_moons.py"))
    random.seed(1337)
    xs, ys = example["our_moons"](100)
    model = example["MLP"](2, [16, 16, 1])
    losses = example["train"](model, xs, ys, 100)
    save(example["picture"](model, xs, ys, losses), "moons.svg")


def modes():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "tapegrad", "bench", "--full", "--modes", "--plot", folder], check=True)
        shutil.copy(Path(folder, "costs-modes.svg"), HERE / "modes.svg")


if __name__ == "__main__":
    slope()
    descent()
    moons()
    if "--modes" in sys.argv[1:]:
        modes()
