"""The levels of the pyramid concatenated: each cell is at its index."""

import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.ops.pyramid import concatenate_levels


def test_every_cell_is_found_again():
    # Levels of 2 × 3, 1 × 2 and 1 × 1 cells: they start at indices 0, 6 and 8.
    levels = [jnp.arange(6.0).reshape(2, 3, 1), 10 + jnp.arange(2.0).reshape(1, 2, 1), jnp.full((1, 1, 1), 20.0)]
    table, start, height, width = concatenate_levels(levels, jnp.array([2, 0, 1, 0]))
    np.testing.assert_array_equal(table[:, 0], [0, 1, 2, 3, 4, 5, 10, 11, 20])
    np.testing.assert_array_equal(start, [8, 0, 6, 0])
    np.testing.assert_array_equal(height, [1, 2, 1, 2])
    np.testing.assert_array_equal(width, [1, 3, 2, 3])
