"""Damaged files: a sample; files.py by itself tries any number."""

import pytest
from files import problem, sources

FILES = sources()


@pytest.mark.parametrize("start", range(0, 2000, 500))
def test_damaged_files_are_refused_or_run(start):
    ran = 0
    for seed in range(start, start + 500):
        found, is_program = problem(seed, FILES)
        assert found is None, found
        ran += is_program
    assert ran > 20, "some are programs still"
