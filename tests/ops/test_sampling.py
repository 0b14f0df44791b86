"""Sampling: how many, which, and that every candidate has the same probability."""

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops.matching import Assignment
from maskrcnn_jax.ops.sampling import sample

POSITIVE, NEGATIVE, IGNORE = (int(a) for a in (Assignment.POSITIVE, Assignment.NEGATIVE, Assignment.IGNORE))

jitted = jax.jit(sample, static_argnums=(2, 3))


def boxes(positive, negative, total=35):
    """Assignments in a shuffled order; entries that are neither positive nor negative are ignored."""
    values = np.repeat([POSITIVE, NEGATIVE, IGNORE], [positive, negative, total - positive - negative])
    return jnp.asarray(np.random.default_rng(0).permutation(values), jnp.int32)


def check(drawn, assignment, positives, negatives):
    """Checks the number of each kind, that no box is drawn twice, and the order: positives, negatives, padding."""
    index, positive, valid = (np.asarray(field) for field in drawn)
    kinds = np.asarray(assignment)[index]
    filled = positives + negatives
    np.testing.assert_array_equal(positive, np.arange(len(index)) < positives)
    np.testing.assert_array_equal(valid, np.arange(len(index)) < filled)
    np.testing.assert_array_equal(kinds[:positives], np.full(positives, POSITIVE))
    np.testing.assert_array_equal(kinds[positives:filled], np.full(negatives, NEGATIVE))
    assert len(set(index[:filled])) == filled
    assert np.all((index >= 0) & (index < len(assignment)))


@pytest.mark.parametrize(
    ("available", "count", "fraction", "expected"),
    [
        ((10, 20), 8, 0.25, (2, 6)),  # enough of both
        ((1, 20), 8, 0.25, (1, 7)),  # negatives fill the slots of missing positives
        ((10, 3), 8, 0.25, (2, 3)),  # but never the other way round: three slots stay empty
        ((10, 20), 8, 0.0, (0, 8)),
        ((10, 20), 8, 1.0, (8, 0)),
        ((10, 20), 7, 0.5, (3, 4)),  # ⌊3.5⌋
        ((10, 0), 8, 0.25, (2, 0)),
        ((0, 20), 8, 0.25, (0, 8)),
        ((0, 0), 8, 0.25, (0, 0)),
        ((0, 8), 8, 0.25, (0, 8)),
    ],
)
def test_numbers_of_each_kind(available, count, fraction, expected):
    assignment = boxes(*available)
    drawn = jitted(jax.random.key(1), assignment, count, fraction)
    assert drawn.index.shape == (count,)
    check(drawn, assignment, *expected)


def test_fewer_boxes_than_slots():
    assignment = boxes(4, 2, total=7)
    drawn = jitted(jax.random.key(0), assignment, 20, 0.25)
    # ⌊20 · ¼⌋ = 5 positives would be allowed, so all four are taken: the limit is a share of the slots asked for.
    assert drawn.index.shape == (7,)
    check(drawn, assignment, 4, 2)


def test_matterport_share_of_200():
    assignment = boxes(150, 400, total=600)
    check(jitted(jax.random.key(0), assignment, 200, 0.33), assignment, 66, 134)


@given(hnp.arrays(np.int32, 16, elements=st.sampled_from([IGNORE, NEGATIVE, POSITIVE])), st.integers(0, 2**31 - 1))
def test_any_assignment_gives_the_right_numbers(assignment, seed):
    positives = min(int(np.sum(assignment == POSITIVE)), 3)
    negatives = min(int(np.sum(assignment == NEGATIVE)), 10 - positives)
    drawn = jitted(jax.random.key(seed), jnp.asarray(assignment), 10, 0.3)
    check(drawn, assignment, positives, negatives)


def test_every_candidate_has_the_same_probability():
    assignment, draws = boxes(12, 24, total=42), 4000
    keys = jax.random.split(jax.random.key(3), draws)
    drawn = jax.jit(jax.vmap(lambda key: sample(key, assignment, 12, 0.25)))(keys)
    hits = np.bincount(np.asarray(drawn.index)[np.asarray(drawn.valid)], minlength=42)
    for kind, probability in ((POSITIVE, 3 / 12), (NEGATIVE, 9 / 24), (IGNORE, 0.0)):
        # Hits are binomial; five standard deviations is one false alarm in 40 000 such tests.
        deviation = np.abs(hits[np.asarray(assignment) == kind] - draws * probability)
        assert np.all(deviation <= 5 * np.sqrt(draws * probability * (1 - probability)))


def test_pairs_are_drawn_independently():
    assignment, draws = boxes(0, 6, total=6), 4000
    keys = jax.random.split(jax.random.key(4), draws)
    drawn = jax.jit(jax.vmap(lambda key: sample(key, assignment, 2, 0.0)))(keys)
    pairs = np.sort(np.asarray(drawn.index), axis=1)
    hits = np.bincount(pairs[:, 0] * 6 + pairs[:, 1], minlength=36).reshape(6, 6)[np.triu_indices(6, 1)]
    # Each of the 15 pairs has probability 1/15.
    assert np.all(np.abs(hits - draws / 15) <= 5 * np.sqrt(draws / 15 * 14 / 15))


def test_draw_is_a_function_of_the_key():
    assignment = boxes(30, 100, total=130)
    first, again, other = (jitted(jax.random.key(k), assignment, 20, 0.5).index for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_vmap_changes_nothing():
    assignments = jnp.stack([boxes(10, 20), boxes(0, 35), boxes(35, 0)])
    keys = jax.random.split(jax.random.key(7), 3)
    lifted = jax.jit(jax.vmap(lambda key, a: sample(key, a, 8, 0.25)))(keys, assignments)
    for image in range(3):
        alone = jitted(keys[image], assignments[image], 8, 0.25)
        for field, expected in zip(lifted, alone, strict=True):
            np.testing.assert_array_equal(field[image], expected)
