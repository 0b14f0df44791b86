import pytest

from maskrcnn_jax.plan.largest_batch import MOST, look_for_largest


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
    """n² ≤ 200. The line through 4 and 8 (12 n − 32) says 19, which is too large; that through 4 and 19 (23 n − 76)
    says 12, which is the answer as far as a line can tell."""
    assert looked(lambda n: n * n, 200, first=4) == [4, 8, 19, 12]


def test_a_compiler_that_does_better_with_a_larger_batch():
    """Hundredths of GiB as compiled for a GPU that has 5933: 31 images take less than 30, and the search continues."""
    measured = {8: 1577, 16: 3099, 30: 5736, 31: 5549}
    # 4356 more than 8 images take: 190.25 each after 8 and 16, 22.9 more; 189.05 after 8 and 30, 23.04; 172.7, 25.2.
    assert looked(lambda n: measured.get(n, 6000), 5933, first=8)[:5] == [8, 16, 30, 31, 33]


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
