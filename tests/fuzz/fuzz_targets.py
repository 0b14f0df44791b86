"""All fuzz targets."""

import fuzz_data
import fuzz_images
import fuzz_runs
import fuzz_weights

TARGETS = (*fuzz_data.TARGETS, *fuzz_images.TARGETS, *fuzz_runs.TARGETS, *fuzz_weights.TARGETS)
