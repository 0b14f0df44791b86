import pytest

from maskrcnn_jax.plan.fit import MOST, look_for_largest


def looked(needed, memory: int, first: int) -> list[int]:
    """The batches that were looked at, in order."""
    return list(look_for_largest(needed, memory, first))


def test_a_line_is_found_with_three_compilations():
    """3 + 2 n ≤ 30 for n ≤ 13: after 4 and 8 the line says 13, and 13 it is."""
    assert looked(lambda n: 3 + 2 * n, 30, first=4) == [4, 8, 13]
    assert look_for_largest(lambda n: 3 + 2 * n, 30, first=4)[13] == 29


def test_a_first_batch_that_is_too_large_is_halved():
    """3 + 2 n ≤ 30: 32 needs 67, 16 needs 35."""
    assert looked(lambda n: 3 + 2 * n, 30, first=32) == [32, 16, 13]


def test_the_answer_may_be_among_the_first():
    assert looked(lambda n: 3 + 2 * n, 11, first=2) == [2, 4]
    assert looked(lambda n: 3 + 2 * n, 10, first=2) == [2, 4, 3]


def test_what_bends_is_looked_at_again():
    """n² ≤ 200. The line through 4 and 8 (12 n − 32) says 19, which is too large; that through 8 and 19 (27 n − 152)
    says 13, and that through 19 and 13 (32 n − 247) says 13 again. (14, which the bend would allow, no line sees.)"""
    assert looked(lambda n: n * n, 200, first=4) == [4, 8, 19, 13]


def test_one_that_does_not_fit_ends_it():
    assert looked(lambda n: 100 + n, 50, first=1) == [1]
    assert looked(lambda n: 100 + n, 50, first=4) == [4, 2, 1]


def test_it_never_goes_on_for_long():
    """A compiler that trades memory for time makes steps."""
    seen = look_for_largest(lambda n: 60 if n < 1000 else 200, 100, first=4)
    assert len(seen) <= MOST


@pytest.mark.parametrize("memory", [20, 37, 64, 100, 1000])
@pytest.mark.parametrize("first", [1, 2, 5, 16, 64])
def test_the_largest_of_any_line(memory: int, first: int):
    """7 + 5 n ≤ memory."""
    seen = look_for_largest(lambda n: 7 + 5 * n, memory, first)
    assert max(n for n, size in seen.items() if size <= memory) == (memory - 7) // 5
