"""`tapegrad bench --plot DIR`: bars of every workload, and its cost against its size, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapegrad.bench import modes
from tapegrad.bench.backends import BASE_OFF, BASE_ON, FLOATS, OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS = ("svg", "png")
BASELINES = {BASE_ON: "{}, collector on", BASE_OFF: "{}, collector off", FLOATS: "floats, no derivative"}
OUR_COLOUR, COLOUR, FLOATS_COLOUR = "C0", "0.6", "0.8"

Bar = tuple[str, float, str]  # label, seconds, colour


def require(path: str) -> None:
    """Raise ValueError where matplotlib is missing or `path` can be no directory: before anything is measured."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError("--plot needs matplotlib: pip install 'tapegrad[plots]'") from None
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--plot {path}: {error.strerror or error}") from error


def draw(data: dict[str, Any], directory: str) -> list[Path]:
    """Draw what a run has measured; the files."""
    files = []
    for workload in data["workloads"]:
        name = workload["name"].replace("/", "-")
        figures = {name: bars, f"{name}-sizes": ladder}
        if workload["name"] == modes.NAME:
            figures = {name: of_modes}
        for stem, make in figures.items():
            figure = make(workload)
            if figure is None:
                continue
            for suffix in FORMATS:
                files.append(Path(directory, f"{stem}.{suffix}"))
                figure.savefig(files[-1], dpi=150)
    return files


def of_modes(workload: dict[str, Any]) -> Any:
    return modes.picture(workload["results"]) if workload["results"] else None


def timed(workload: dict[str, Any]) -> Iterator[tuple[int | None, Bar, Callable[[float], float], str]]:
    """What was timed on whole workloads: (size, bar, seconds to the unit, unit)."""
    rows = [row for row in workload["results"] if row.get("whole") and row["steady"]]
    for row in rows:
        label = {OURS: "tapegrad" + (f" {row['row']}" if row["row"] in ("recorded", "vmap") else "")}
        label |= {key: text.format(row["baseline"]) for key, text in BASELINES.items()}
        for key, times in row["times"].items():
            if key in label:
                colour = OUR_COLOUR if key == OURS else FLOATS_COLOUR if key == FLOATS else COLOUR
                yield row["size"], (label[key], times["min_s"], colour), scaled(row["unit_per_second"]), row["unit"]
    for row in workload["results"]:
        if "samples_s" in row and row["samples_s"] and row["steady"] and row["contender"] != "tapegrad":
            label_ = f"{row['contender']} {row['way']}" + (f", {row['threads']} threads" if row["threads"] > 1 else "")
            bar = (label_, min(row["samples_s"]), COLOUR)
            yield row["size"], bar, scaled(row["scale"]), row["unit"]


def scaled(scale: float) -> Callable[[float], float]:
    return lambda seconds: seconds * scale


def bars(workload: dict[str, Any]) -> Any:
    """Horizontal bars of all contenders in the largest size, shortest first; None if nothing was timed."""
    from matplotlib.figure import Figure

    found = list(timed(workload))
    if not found:
        return None
    largest = max(size or 0 for size, *_ in found)
    shown = sorted(
        (
            (label, to_unit(seconds), colour)
            for size, (label, seconds, colour), to_unit, _ in found
            if (size or 0) == largest
        ),
        key=lambda bar: -bar[1],
    )
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh([f"{label} " for label, *_ in shown], [x for _, x, _ in shown], color=[c for *_, c in shown])
    axes.bar_label(drawn, fmt="%.3g", padding=3, fontsize=8)
    axes.set(xscale="log", xlabel=found[0][3], title=workload["name"] + (f", {largest:,}" if largest else ""))
    axes.margins(x=0.15)
    return figure


def ladder(workload: dict[str, Any]) -> Any:
    """Seconds against size on logarithmic axes, a line for each contender; None if there is but one size."""
    from matplotlib.figure import Figure

    lines: dict[str, dict[int, float]] = {}
    colours = {}
    for size, (label, seconds, colour), *_ in timed(workload):
        if size is not None:
            lines.setdefault(label, {})[size] = seconds
            colours[label] = colour
    if max((len(line) for line in lines.values()), default=0) < 2:
        return None
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for k, (label, line) in enumerate(lines.items()):
        sizes = sorted(line)
        style = {"linewidth": 2.5, "color": OUR_COLOUR} if colours[label] == OUR_COLOUR else {"color": f"C{k % 9 + 1}"}
        axes.loglog(sizes, [line[size] for size in sizes], marker="o", markersize=4, label=label, **style)
    axes.set(xlabel="size", ylabel="seconds", title=workload["name"])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
