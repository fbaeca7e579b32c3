"""Random sequences of everything that a program can do to Values: a sample; sequences.py by itself runs any number."""

import gc

import pytest
from sequences import difference

from tapegrad.tape import tape


@pytest.fixture(autouse=True)
def a_small_heap():
    """Sequences collect garbage: what other tests have imported need not be looked through each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("start", range(0, 1500, 100))
def test_sequences(start):
    gc.collect()
    before = tape.compact()
    for seed in range(start, start + 100):
        found = difference(seed)
        assert found is None, found
    gc.collect()
    assert tape.compact() == before
