"""The HTML page in a real browser: moving, zooming, what is under the mouse, and the backward sweep step by step."""

import shutil

import pytest

from tapegrad import draw

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested where playwright is installed")

# what a child process of ours leaves behind when it is gone
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        paths = [None, *filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))]
        for path in paths:  # playwright's own, or the system's
            try:
                started = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
            except playwright.Error as error:
                why = str(error).splitlines()[0]
                continue
            yield started
            started.close()
            return
        pytest.skip(f"no browser: `playwright install chromium` or `apt-get install chromium` ({why})")


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a drawing's page; in the end, nothing may have failed there, or asked for the network."""
    wrong = []
    context = browser.new_context(viewport={"width": 1100, "height": 560})

    def open_page(drawing):
        drawing.save(tmp_path / "g.html")
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
        page.goto((tmp_path / "g.html").as_uri())
        return page

    yield open_page
    context.close()
    assert wrong == []


def branch(Value):
    """E2: b reaches f by two paths."""
    a, b, c = Value(-4.0, label="a"), Value(2.0, label="b"), Value(1.0, label="c")
    x, y = a + b, b + c
    x.label, y.label = "x", "y"
    f = x * y
    f.label = "f"
    return f


def grads(page):
    """The grads on the page, by name."""
    found = {}
    for group in page.query_selector_all("g[data-kind]:has([data-grad])"):
        name, _, _, _, grad = [text.text_content() for text in group.query_selector_all("text")]
        found[name] = float(grad)
    return found


def test_the_sweep_step_by_step(opened, Value):
    page = opened(draw(branch(Value)))
    assert page.title() == "Computation graph of f"
    assert grads(page) == dict.fromkeys("abcxyf", 0)
    steps = []
    for _ in range(4):
        page.click("#next")
        steps.append(grads(page))
    assert steps == [
        {"f": 1, "x": 0, "y": 0, "a": 0, "b": 0, "c": 0},
        {"f": 1, "x": 3, "y": -2, "a": 0, "b": 0, "c": 0},
        {"f": 1, "x": 3, "y": -2, "a": 0, "b": -2, "c": -2},
        {"f": 1, "x": 3, "y": -2, "a": 3, "b": 1, "c": -2},
    ]
    assert page.inner_text("#said").splitlines() == [
        "step 3 of 3: x.grad = 3 is complete",
        "a.grad += dx/da * x.grad = 1 * 3 = 3, now 3",
        "b.grad += dx/db * x.grad = 1 * 3 = 3, now 1",
    ]
    assert page.is_disabled("#next") and page.is_enabled("#back")
    page.keyboard.press("ArrowLeft")
    assert grads(page) == steps[2]
    page.keyboard.press("Home")
    assert grads(page) == steps[0]
    page.click("#last")
    assert grads(page) == steps[3]
    assert page.locator(".now").count() == 2 and page.locator(".gets").count() == 2  # the box and the oval; a and b
    page.click("#leave")
    assert grads(page) == dict.fromkeys("abcxyf", 0)


def test_the_end_of_the_sweep_is_what_backward_leaves(opened, Value):
    f = branch(Value)
    page = opened(draw(f))
    page.click("#last")
    swept = grads(page)
    f.backward()
    page = opened(draw(f))
    assert grads(page) == swept == {"f": 1, "x": 3, "y": -2, "a": 3, "b": 1, "c": -2}


def test_playing(opened, Value):
    page = opened(draw(branch(Value)))
    page.clock.install()
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    page.clock.run_for(10_000)
    assert page.inner_text("#play") == "Play" and page.input_value("#step") == "3"


def test_derivatives_under_the_mouse(opened, Value):
    page = opened(draw(branch(Value)))
    assert not page.is_visible("#tip")
    page.hover("g[data-kind=result]")
    assert page.inner_text("#tip").splitlines() == ["f", "data  -6.0", "grad  0 = df/df", "df/dx = 3.0", "df/dy = -2.0"]
    tips = set()
    for edge in page.query_selector_all("g[data-edge]"):
        edge.query_selector("path.near").dispatch_event("pointerover", {"bubbles": True})
        tips.add(page.inner_text("#tip"))
    assert tips == {"", "df/dx = 3.0", "df/dy = -2.0", "dx/da = 1", "dx/db = 1", "dy/db = 1", "dy/dc = 1"}


def test_moving_and_zooming(opened, Value):
    page = opened(draw(branch(Value)))
    box = page.locator("g[data-kind=result]")
    before = box.bounding_box()
    page.mouse.move(500, 450)
    page.mouse.down()
    page.mouse.move(400, 400)
    page.mouse.up()
    moved = box.bounding_box()
    assert (moved["x"] - before["x"], moved["y"] - before["y"]) == pytest.approx((-100, -50), abs=2)
    page.mouse.move(moved["x"], moved["y"])
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        f"document.querySelector('[data-kind=result]').getBoundingClientRect().width > {before['width'] * 1.2}"
    )
    larger = box.bounding_box()
    assert (larger["x"], larger["y"]) == pytest.approx((moved["x"], moved["y"]), abs=3)  # what is under the mouse stays
    page.click("#fit")
    assert box.bounding_box() == pytest.approx(before, abs=2)
    page.click("#in")
    assert box.bounding_box()["width"] > before["width"] * 1.2
    page.click("#out")
    assert box.bounding_box()["width"] == pytest.approx(before["width"], rel=0.01)


def test_hostile_labels_stay_text(opened, Value):
    x = Value(2.0, label="<img src=x onerror=alert(1)>")
    y = x * 3.0
    y.label = "</script><script>alert(1)</script>"
    page = opened(draw(y))
    page.click("#last")
    assert page.locator("img").count() == 0 and page.locator("script").count() == 2
    assert "</script><script>alert" in page.inner_text("#said")


def test_a_large_graph_begins_at_the_result(opened, Value):
    x = Value(1.0)
    y = x
    for _ in range(2000):
        y = (y * 0.5 + x).tanh()
    page = opened(draw(y))
    frame = page.locator("#canvas").bounding_box()
    for step in (None, "#next", "#next"):
        if step:
            page.click(step)
        box = page.locator("g[data-kind=result]").bounding_box()
        assert frame["x"] < box["x"] < frame["width"] and frame["y"] < box["y"] < frame["y"] + frame["height"]
    page.click("#last")
    page.click("#back")
    now = page.locator("g.now >> nth=-1").bounding_box()
    assert frame["x"] <= now["x"] <= frame["width"]
