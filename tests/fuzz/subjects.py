"""Everything that is fuzzed, by how often it takes its turn."""

import fuzz_data
import fuzz_images
import fuzz_runs
import fuzz_weights

SUBJECTS = (*fuzz_data.SUBJECTS, *fuzz_images.SUBJECTS, *fuzz_runs.SUBJECTS, *fuzz_weights.SUBJECTS)
