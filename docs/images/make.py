"""The pictures of docs/drawing.md: `python docs/images/make.py`. Needs playwright and a chromium."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import tapegrad
from tapegrad import Value

HERE = Path(__file__).parent


def e4():
    a, b, c, f = Value(3.0), Value(-2.0), Value(8.0), Value(-2.0)
    d = a * b
    e = d + c
    L = e * f
    L.backward()
    return tapegrad.draw(L)


def main():
    drawing = e4()
    drawing.save(HERE / "e4.svg")
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as play:
        path = Path(directory) / "e4.html"
        drawing.save(path)
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 440})
        page.goto(path.as_uri())
        for _ in range(4):
            page.click("#next")
        page.hover("g[data-kind=result]")
        page.screenshot(path=HERE / "e4-page.png")
        browser.close()


if __name__ == "__main__":
    main()
