"""Files are there whole or not at all: whoever writes, however often, and whatever ends it."""

import multiprocessing
import os
import stat

import pytest

from tapegrad import Value, checkpoints, draw, load, record
from tapegrad.classify.network import Classifier
from tapegrad.files import write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and locks of POSIX systems")


def save_state(path):
    checkpoints.save(path, {"x": 1.0})


def save_program(path):
    record(lambda x: x * 2.0).program(1.0).save(path)


def save_drawing(path):
    draw(Value(1.0) + 2.0, names={}).save(path)


def save_classifier(path):
    Classifier(["a", "b"], 2, False, [], "relu").save(path)


@pytest.fixture(params=[save_state, save_program, save_drawing, save_classifier])
def save(request):
    return request.param


@posix
def test_a_file_keeps_its_mode(save, tmp_path):
    path = tmp_path / "file.svg"
    save(path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    for mode in (0o600, 0o640, 0o666):
        path.chmod(mode)
        save(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.listdir(tmp_path) == ["file.svg"]


@posix
def test_a_link_stays_one_and_what_it_leads_to_is_written(save, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "file.svg", tmp_path / "link.svg"
    link.symlink_to(os.path.join("elsewhere", "file.svg"))
    for _ in range(2):  # first it leads nowhere
        save(link)
        assert link.is_symlink() and target.is_file() and link.read_bytes() == target.read_bytes() != b""
    assert os.listdir(target.parent) == ["file.svg"]


@posix
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", b"content")
    assert os.read(reader, 99) == b"content" and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    os.close(reader)
    write_whole(os.devnull, b"content")
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"content")


@posix
def test_a_file_that_may_not_be_written_is_left_alone(save, tmp_path, monkeypatch):
    path = tmp_path / "file.svg"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everything
    with pytest.raises(PermissionError, match=r"file\.svg"):
        save(path)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["file.svg"]


def test_a_disk_that_is_full_leaves_the_file_that_was_there_and_nothing_else(save, tmp_path, monkeypatch):
    path = tmp_path / "file.svg"
    path.write_bytes(b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["file.svg"]


@posix
def test_what_a_kill_has_left_goes_with_the_next_write_and_what_others_write_does_not(tmp_path):
    import fcntl

    path, left, other = tmp_path / "x", tmp_path / "x.part", tmp_path / "x.1.part"
    for file in (left, other, tmp_path / "y.part"):
        file.write_bytes(b"half")
    with open(other) as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        write_whole(path, b"1")
        assert sorted(os.listdir(tmp_path)) == ["x", "x.1.part", "y.part"]
        left.symlink_to(other)  # nothing is written through such a link
        write_whole(path, b"2")
        assert other.read_bytes() == b"half" and path.read_bytes() == b"2"


def many_saves(path, k, queue):
    seen = set()
    for _ in range(60):
        try:
            checkpoints.save(path, {"x": [float(k)] * 5_000})
            seen.add(len(checkpoints.load(path)["x"]))
        except (OSError, ValueError) as error:
            seen.add(repr(error))
    queue.put(seen)


@posix
def test_two_trainings_with_one_checkpoint_write_it_whole(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue, path = context.Queue(), tmp_path / "checkpoint"
    processes = [context.Process(target=many_saves, args=(path, k, queue)) for k in range(3)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=120) for _ in processes] == [{5_000}] * 3
    for process in processes:
        process.join()
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_programs_are_loaded_from_what_was_saved(tmp_path):
    save_program(tmp_path / "program")
    assert load(tmp_path / "program")([3.0]) == 6.0
