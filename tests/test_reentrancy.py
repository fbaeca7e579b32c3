"""Random programs that act in the middle of what the core does: a sample; reentrancy.py by itself runs any number."""

import pytest
from reentrancy import BLOCK, finding, is_raw

RAW = next(block for block in range(0, 100 * BLOCK, BLOCK) if is_raw(block))


@pytest.mark.parametrize("start", [0, BLOCK, RAW])
def test_programs_that_act_in_the_middle(start):
    print(f"programs from seed {start}")
    steps, found = finding(start, start + 150)
    assert found is None, found
    assert steps > 150 * 10
