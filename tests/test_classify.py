"""`tapegrad classify`: digits and folders of pictures, good and bad; options; files that it writes."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tapegrad.__main__ import main
from tapegrad.classify import ACTIVATIONS, LOSSES, RATES, network, pictures, training
from tapegrad.fitting import outputs
from tapegrad.losses import Value, cross_entropy, multi_margin_loss


@pytest.fixture
def classify(capsys):
    """Run the command: exit status, what it printed, what it complained about."""

    def run(*argv):
        try:
            status = main(["classify", *map(str, argv)])
        except SystemExit as stop:  # argparse
            status = stop.code
        return status, *capsys.readouterr()

    return run


def held_out(text):
    return float(re.search(r"held out: \d+ of \d+ right, ([\d.]+)%", text)[1])


# ---- digits ----


@pytest.fixture
def digits():
    pytest.importorskip("sklearn")


@pytest.mark.parametrize("loss", ["cross_entropy", "hinge"])
@pytest.mark.parametrize(("classes", "least"), [("0,1,2,3", 97.0), pytest.param("all", 93.0, marks=pytest.mark.slow)])
def test_real_digits_are_learnt(digits, classify, classes, least, loss):
    status, out, err = classify("--classes", classes, "--loss", loss, "--optimizer", "adam")
    assert (status, err) == (0, "")
    assert held_out(out) >= least
    assert out.count("\n") == 7 + (4 if classes != "all" else 10)


def test_the_same_seed_gives_the_same_bits(digits, classify, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert classify("--epochs", 2, "--seed", seed, "--save", tmp_path / name)[0] == 0
    a, b, c = [(tmp_path / name).read_bytes() for name in "abc"]
    assert a == b != c


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_activation_learns_by_every_loss(digits, classify, activation, loss):
    status, out, _ = classify(
        "--activation", activation, "--loss", loss, "--layers", "12,8", "--classes", "0,1,6", "--epochs", 15
    )
    assert status == 0 and held_out(out) > 85
    assert f"12 {activation}, 8 {activation}, 3 scores" in out and f"; {loss}, adam, learning rate 0.01" in out


@pytest.mark.parametrize("optimizer", RATES)
def test_every_optimiser_learns(digits, classify, optimizer):
    status, out, _ = classify("--optimizer", optimizer, "--classes", "0,1", "--epochs", 10, "--layers", "")
    assert status == 0 and held_out(out) > 95
    assert f"64 numbers, 2 scores: 130 parameters; cross_entropy, {optimizer}, learning rate {RATES[optimizer]}" in out


def test_engines_agree(digits, classify):
    _, out, _ = classify("--compare-engines", "--layers", 3, "--classes", "0,1", "--epochs", 1)
    for engine in ("eager", "reference"):
        assert float(re.search(rf"{engine} .* parameters differ by (\S+) at most", out)[1]) < 1e-9
    assert "recorded" in out


def test_a_run_goes_on_from_its_checkpoint(digits, classify, tmp_path):
    options = ("--checkpoint", tmp_path / "run", "--classes", "0,1", "--layers", 4)
    assert classify(*options, "--epochs", 2)[0] == 0
    assert classify(*options, "--epochs", 4, "--save", tmp_path / "a")[0] == 0
    assert classify(*options[2:], "--epochs", 4, "--save", tmp_path / "b")[0] == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    status, _, err = classify(*options, "--batch-size", 8)
    assert status == 2 and "batch_size was 32 and is 8" in err


# ---- wrong options ----


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--epochs 0", "argument --epochs: must be at least 1, not 0"),
        ("--epochs many", "argument --epochs: invalid integer value: 'many'"),
        ("--batch-size -3", "argument --batch-size: must be at least 1, not -3"),
        ("--lr 0", "argument --lr: must be above 0, not 0"),
        ("--lr nan", "argument --lr: must be above 0, not nan"),
        ("--held-out 1", "argument --held-out: must be between 0 and 1, not 1"),
        ("--validation 0", "argument --validation: must be between 0 and 1, not 0"),
        ("--patience -1", "argument --patience: must be at least 0, not -1"),
        ("--tolerance -1", "argument --tolerance: must be at least 0, not -1"),
        ("--layers 8,x", "argument --layers: must be numbers of neurons, as in 32 or 32,16, not '8,x'"),
        ("--layers 0", "argument --layers: must be numbers of neurons"),
        ("--activation step", "argument --activation: invalid choice: 'step'"),
        ("--loss l7", "argument --loss: invalid choice: 'l7'"),
        ("--optimizer newton", "argument --optimizer: invalid choice: 'newton'"),
        ("--classes 0,11", "--classes: there is no class '11'; there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("--classes 0,0", "--classes names a class twice: 0,0"),
        ("--classes 0", "--classes must name two classes at least, not 0"),
        ("--size 8", "--size is for pictures of your own: give --images DIR with it"),
        ("--colour", "--colour is for pictures of your own"),
        ("--strict", "--strict is for pictures of your own"),
        ("--predict model.json", "--predict takes a saved classifier and one picture at least"),
        ("--predict model.json a.png --save b", "--predict does not train: --save has no meaning with it"),
        ("--predict nowhere.json a.png", "No such file or directory: 'nowhere.json'"),
        ("--save nowhere/model.json", "there is no folder for nowhere/model.json"),
        ("--images nowhere", "there is no folder nowhere"),
        ("--images pyproject.toml", "pyproject.toml is no folder"),
    ],
)
def test_wrong_options_are_named(digits, classify, monkeypatch, options, text):
    monkeypatch.chdir(__file__.rpartition("tests")[0])
    status, out, err = classify(*options.split())
    assert (status, out) == (2, "")
    assert text in err


def test_what_is_not_installed_is_named(classify, monkeypatch, tmp_path):
    network.Classifier(["a", "b"], 3, False, [5], "relu").save(tmp_path / "model.json")
    for module, name, extra, options in (
        ("sklearn.datasets", "scikit-learn", "data", ()),
        ("matplotlib.figure", "matplotlib", "plots", ("--plot", tmp_path)),
        ("PIL.Image", "Pillow", "images", ("--images", tmp_path)),
        ("PIL.Image", "Pillow", "images", ("--predict", tmp_path / "model.json", "a.png", "b.png")),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            status, _, err = classify(*options)
        assert (status, err) == (2, f"tapegrad classify: this needs {name}: pip install 'tapegrad[{extra}]'\n")


def test_a_loss_that_is_no_number_any_more_is_named(digits, classify):
    status, _, err = classify("--optimizer", "sgd", "--lr", "1e200", "--loss", "mse", "--activation", "leaky_relu")
    assert status == 2 and "the loss is no number any more; a lower learning rate may help" in err


def test_the_reference_cannot_and_says_so(digits):
    command = [sys.executable, "-m", "tapegrad", "classify"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TAPEGRAD_PURE": "1"})
    assert (done.returncode, done.stderr) == (
        2,
        "tapegrad classify: functions are recorded by tapegrad's compiled core, "
        "and TAPEGRAD_PURE asks for the reference\n",
    )


# ---- folders of pictures ----


@pytest.fixture
def image():
    return pytest.importorskip("PIL.Image")


def half_bright(image, top, k, mode="RGB"):
    """A noisy picture, of any size, that is bright in its upper or in its left half."""
    rng = np.random.default_rng(k)
    height, width = rng.integers(20, 60, 2)
    points = rng.normal(80, 15, size=(height, width))
    points[: height // 2 if top else height, : width if top else width // 2] += rng.uniform(60, 90)
    return image.fromarray(points.clip(0, 255).astype(np.uint8)).convert(mode)


@pytest.fixture
def folder(image, tmp_path):
    """Two classes of pictures: bright above, and bright on the left."""
    root = tmp_path / "pictures"
    for name in ("above", "left"):
        (root / name).mkdir(parents=True)
        for k in range(24):
            half_bright(image, name == "above", k).save(root / name / f"{k:02}.png")
    return root


@pytest.mark.parametrize("colour", [(), ("--colour",)])
def test_a_folder_of_pictures_is_learnt_and_new_ones_are_named(folder, image, classify, tmp_path, colour):
    model = tmp_path / "model.json"
    status, out, err = classify("--images", folder, "--size", 12, *colour, "--save", model, "--epochs", 60)
    assert (status, err) == (0, "")
    assert "48 pictures of 2 classes (above left), 12 x 12" in out
    assert f"{12 * 12 * (3 if colour else 1)} numbers" in out and held_out(out) == 100
    new = [tmp_path / "a.png", tmp_path / "b.jpg"]
    half_bright(image, True, 100).save(new[0])
    half_bright(image, False, 101).save(new[1])
    status, out, err = classify("--predict", model, *new)
    assert (status, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith(f"{new[0]}: above (scores: above ") and second.startswith(f"{new[1]}: left (scores: ")


def test_what_cannot_be_read_is_named_and_skipped_or_refused(folder, image, classify):
    (folder / "above" / "empty.png").write_bytes(b"")
    (folder / "left" / "notes.txt").write_text("no picture")
    whole = (folder / "above" / "00.png").read_bytes()
    (folder / "left" / "torn.png").write_bytes(whole[: len(whole) // 2])
    (folder / "left" / ".hidden").write_text("not looked at")
    problems = [
        f"{folder}/above/empty.png: the file is empty",
        f"{folder}/left/notes.txt: no picture that Pillow knows",
        f"{folder}/left/torn.png: ",
    ]
    status, out, err = classify("--images", folder, "--epochs", 1)
    assert status == 0 and "48 pictures of 2 classes" in out
    assert len(err.splitlines()) == 3
    for line, problem in zip(err.splitlines(), problems, strict=True):
        assert line.startswith(f"skipped {problem}")
    status, out, err = classify("--images", folder, "--strict")
    assert (status, out) == (2, "")
    assert "3 of 51 files cannot be read" in err and all(problem in err for problem in problems)


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ({}, "must have a folder of pictures for each of two classes at least, and has no folder"),
        ({"cat": 3}, "for each of two classes at least, and has one folder, cat"),
        ({"cat": 3, "dog": 0}, "dog has no picture that can be read; a class needs two"),
        ({"cat": 3, "dog": 1}, "dog has 1 picture that can be read; a class needs two"),
    ],
)
def test_folders_without_enough_pictures(image, classify, tmp_path, classes, text):
    for name, count in classes.items():
        (tmp_path / name).mkdir()
        for k in range(count):
            half_bright(image, True, k).save(tmp_path / name / f"{k}.png")
    (tmp_path / "readme.txt").write_text("a file beside the folders is no class")
    (tmp_path / ".cache").mkdir()
    status, out, err = classify("--images", tmp_path)
    assert (status, out) == (2, "")
    assert text in err


def test_a_class_of_unreadable_pictures_says_which_they_are(folder, classify):
    for file in (folder / "above").iterdir():
        file.write_bytes(b"x")
    status, _, err = classify("--images", folder)
    assert status == 2 and f"{folder}/above has no picture" in err and err.count("no picture that Pillow knows") == 24


def test_four_pictures_are_enough(image, classify, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for k in range(2):
            half_bright(image, name == "a", k).save(tmp_path / name / "deeper" / f"{k}.png")
    status, out, _ = classify("--images", tmp_path, "--epochs", 2)
    assert status == 0 and "4 pictures of 2 classes (a b), 16 x 16, grey: 2 to train on, 2 held out" in out


def test_classes_may_be_chosen(folder, image, classify):
    (folder / "third").mkdir()
    status, out, _ = classify("--images", folder, "--classes", "left, above", "--epochs", 1)
    assert status == 0 and "48 pictures of 2 classes (left above)" in out
    status, _, err = classify("--images", folder, "--classes", "left,fabove")
    assert status == 2 and "there is no class 'fabove'; there are above, left, third" in err


def test_pictures_of_every_kind_are_read_alike(image, tmp_path):
    grey = half_bright(image, True, 5, "L")
    grey.save(tmp_path / "grey.png")
    expected = pictures.read(tmp_path / "grey.png", 8, False)
    assert expected.shape == (64,) and -1 <= expected.min() < -0.2 < 0.0 < expected.max() <= 1
    for mode in ("RGB", "RGBA", "LA"):
        grey.convert(mode).save(tmp_path / f"{mode}.png")
        assert np.array_equal(pictures.read(tmp_path / f"{mode}.png", 8, False), expected)
    grey.quantize(256).save(tmp_path / "P.png")
    deep = np.asarray(grey, dtype=np.uint16) * 257
    image.fromarray(deep).save(tmp_path / "deep.png")
    for name in ("P", "deep"):
        assert np.abs(pictures.read(tmp_path / f"{name}.png", 8, False) - expected).max() < 0.04
    coloured = pictures.read(tmp_path / "RGB.png", 8, True)
    assert np.array_equal(coloured.reshape(64, 3), np.stack([expected] * 3, axis=1))
    turned = grey.transpose(image.Transpose.ROTATE_90)
    exif = image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    turned.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(pictures.read(tmp_path / "turned.png", 8, False), expected)
    image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "glass.png")
    assert pictures.read(tmp_path / "glass.png", 2, False).tolist() == [1.0] * 4


# ---- what is written ----


def test_plots_are_written(folder, image, classify, tmp_path):
    pytest.importorskip("matplotlib")
    for k, options in enumerate(((), ("--colour", "--activation", "maxout"), ("--layers", "", "--patience", "0"))):
        plots = tmp_path / "deep" / str(k)
        assert classify("--images", folder, "--plot", plots, "--epochs", 3, "--layers", 8, *options)[0] == 0
        assert sorted(p.name for p in plots.iterdir()) == ["confusion.png", "loss.png", "mistakes.png", "weights.png"]
        for path in plots.iterdir():
            with image.open(path) as picture:
                assert min(picture.size) > 50
                assert len(picture.convert("RGB").getcolors(1 << 20)) > 5


def test_pictures_of_more_points_than_pillow_allows_are_refused(image, monkeypatch, tmp_path):
    """What takes a few bytes in a file may take all memory as points."""
    image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"bomb\.png: .*decompression bomb"):
        pictures.read(tmp_path / "bomb.png", 8, False)


def test_a_saved_classifier_gives_the_same_scores(tmp_path):
    model = network.Classifier(["a", "b"], 3, True, [5, 4], "maxout", seed=7)
    model.save(tmp_path / "model.json")
    again = network.Classifier.load(tmp_path / "model.json")
    X = np.random.default_rng(0).uniform(size=(4, 27))
    assert np.array_equal(outputs(model.network, X), outputs(again.network, X))
    assert (again.classes, again.size, again.colour) == (["a", "b"], 3, True)


def test_a_file_that_is_no_classifier_is_refused(classify, tmp_path):
    path = tmp_path / "model.json"
    network.Classifier(["a", "b"], 3, False, [5], "relu").save(path)
    kept = json.loads(path.read_text())
    for text in ("", "{", "[]", "{}", json.dumps({**kept, "kind": "?"}), json.dumps({**kept, "layers": [6]}),
                 "[" * 200_000 + "]" * 200_000, json.dumps({**kept, "size": 1e200}),
                 json.dumps({**kept, "activation": "step"}), json.dumps({**kept, "extra": 1})):  # fmt: skip
        path.write_text(text)
        status, out, err = classify("--predict", path, "a.png")
        assert (status, out) == (2, "")
        assert f"{path} is no classifier that tapegrad classify has saved: " in err


@pytest.mark.parametrize(
    "claim", [{"size": 10**6}, {"layers": [10**9]}, {"layers": [10**5] * 9}, {"layers": [10**9, -(10**9)]}]
)
def test_a_classifier_file_that_claims_to_be_huge_is_refused_at_once(tmp_path, claim, monkeypatch):
    path = tmp_path / "model.json"
    network.Classifier(["a", "b"], 3, False, [5], "relu").save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **claim}))
    monkeypatch.setattr(network, "Linear", None)  # nothing is built
    with pytest.raises(ValueError, match="it is too short for a network of that size"):
        network.Classifier.load(path)


def test_pictures_to_predict_that_cannot_be_read(image, classify, tmp_path):
    network.Classifier(["a", "b"], 3, False, [5], "relu").save(tmp_path / "model.json")
    half_bright(image, True, 1).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    names = [tmp_path / name for name in ("bad.png", "none.png", "good.png")]
    status, out, err = classify("--predict", tmp_path / "model.json", *names)
    assert status == 1
    assert out.startswith(f"{names[2]}: ") and out.count("\n") == 1
    assert f"{names[0]}: the file is empty" in err and f"{names[1]}: No such file or directory" in err


# ---- parts ----


def test_every_class_is_held_out_in_its_share():
    data = pictures.Pictures(
        np.zeros((23, 4)), np.array([0] * 20 + [1] * 2 + [2]), list("x" * 23), list("abc"), 2, False
    )
    train, test = training.split(data, 0.25, 0)
    assert np.bincount(test.y, minlength=3).tolist() == [5, 1, 0]
    assert np.bincount(train.y).tolist() == [15, 1, 1]
    assert len(test.names) == len(test.X) == len(test) == 6


def test_losses_by_name():
    scores = [Value(0.5), Value(-1.0), Value(2.0)]
    assert network.loss("cross_entropy")(scores, 1).data == cross_entropy(scores, 1).data
    assert network.loss("hinge")(scores, 1).data == multi_margin_loss(scores, 1).data
    assert network.loss("mse")(scores, 1).data == (0.5**2 + 2.0**2 + 2.0**2) / 3


def test_the_command_is_installed_and_light(tmp_path):
    done = subprocess.run([sys.executable, "-m", "tapegrad", "classify", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--images DIR" in done.stdout
    code = "import sys; from tapegrad import classify; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
