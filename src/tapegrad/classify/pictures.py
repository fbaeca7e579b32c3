"""Pictures as rows of numbers from -1, black, to 1: handwritten digits, or any folder of class folders.

Not from 0 to 1: with inputs of one sign ReLU networks got stuck in 1 of 6 trainings on made colour pictures, and all
ten digits were learnt a little less well (November 2026).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Pictures", "digits", "folder", "read"]


@dataclass
class Pictures:
    """Samples of several classes."""

    X: Any  # (pictures, numbers): the points row by row, in colour three numbers each
    y: Any  # (pictures): the number of the class
    names: list[str]  # of the pictures
    classes: list[str]
    size: int
    colour: bool

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, which: Any) -> Pictures:
        """Some of the pictures."""
        numbers: list[int] = list(which)
        names = [self.names[k] for k in numbers]
        return Pictures(self.X[which], self.y[which], names, self.classes, self.size, self.colour)


def package(module: str, name: str, extra: str) -> Any:
    """An optional module, or ImportError as a ValueError that says how to get it."""
    try:
        return import_module(module)
    except ImportError:
        raise ValueError(f"this needs {name}: pip install 'tapegrad[{extra}]'") from None


def chosen(wanted: str | None, there_are: list[str], default: list[str]) -> list[str]:
    """The classes that the option --classes names."""
    if wanted is None:
        return default
    classes = there_are if wanted == "all" else [name.strip() for name in wanted.split(",")]
    for name in classes:
        if name not in there_are:
            raise ValueError(f"--classes: there is no class {name!r}; there are {', '.join(there_are)}")
    if len(set(classes)) < len(classes):
        raise ValueError(f"--classes names a class twice: {wanted}")
    if len(classes) < 2:
        raise ValueError(f"--classes must name two classes at least, not {wanted}")
    return classes


def digits(wanted: str | None = None) -> Pictures:
    """scikit-learn's 8 x 8 images of digits that people wrote by hand; by default those of 0, 1, 2 and 3."""
    data = package("sklearn.datasets", "scikit-learn", "data").load_digits()
    classes = chosen(wanted, [str(digit) for digit in range(10)], list("0123"))
    number = {int(name): k for k, name in enumerate(classes)}
    which = [k for k, digit in enumerate(data.target.tolist()) if digit in number]
    y = np.array([number[data.target[k]] for k in which])
    return Pictures(data.data[which] / 8.0 - 1.0, y, [f"digit {k}" for k in which], classes, 8, False)


def folder(path: str | Path, size: int, colour: bool = False, wanted: str | None = None) -> tuple[Pictures, list[str]]:
    """The pictures in the folders of a folder, each of which is a class; and what could not be read, and why.

    ValueError if that is no folder, or has not two classes of two pictures each at least.
    """
    package("PIL.Image", "Pillow", "images")  # once, not for every file
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"{root} is no folder" if root.exists() else f"there is no folder {root}")
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(folders) < 2:
        found = f"one folder, {folders[0]}" if folders else "no folder"
        raise ValueError(f"{root} must have a folder of pictures for each of two classes at least, and has {found}")
    classes = chosen(wanted, folders, folders)
    rows: list[Any] = []
    y: list[int] = []
    names: list[str] = []
    problems: list[str] = []
    for k, name in enumerate(classes):
        for file in files(root / name):
            try:
                rows.append(read(file, size, colour))
            except ValueError as error:
                problems.append(str(error))
            else:
                y.append(k)
                names.append(str(file.relative_to(root)))
        count = y.count(k)
        if count < 2:
            found = "1 picture" if count else "no picture"
            reasons = "".join(f"\n  {problem}" for problem in problems)
            raise ValueError(
                f"{root / name} has {found} that can be read; a class needs two, one to train on and "
                f"one to test{reasons}"
            )
    return Pictures(np.array(rows), np.array(y), names, classes, size, colour), problems


def files(path: Path) -> Iterable[Path]:
    """The files in a folder and its folders, without hidden ones."""
    return sorted(
        p for p in path.rglob("*") if p.is_file() and not any(x.startswith(".") for x in p.relative_to(path).parts)
    )


def read(path: str | Path, size: int, colour: bool) -> Any:
    """A picture file as one row of numbers; ValueError, with its name, for what cannot be read.

    It is turned as its camera says, put on white where it is transparent, and resized without regard to its shape.
    """
    image, ops = package("PIL.Image", "Pillow", "images"), package("PIL.ImageOps", "Pillow", "images")
    try:
        if Path(path).stat().st_size == 0:
            raise ValueError("the file is empty")
        with image.open(path) as picture:
            upright = ops.exif_transpose(picture)
            if upright.mode.startswith("I"):  # 16 bits, which convert would cut off at 255
                upright = image.fromarray((np.asarray(upright, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8))
            points = upright.convert("RGBA")
        white = image.new("RGBA", points.size, "white")
        flat = image.alpha_composite(white, points).convert("RGB" if colour else "L")
        resized = flat.resize((size, size), image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        unknown = isinstance(error, image.UnidentifiedImageError)
        reason = "no picture that Pillow knows" if unknown else getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: {reason}") from None
    return np.asarray(resized, dtype=np.float64).reshape(-1) / 127.5 - 1.0
