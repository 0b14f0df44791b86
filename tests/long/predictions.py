"""Predicts 2,000 images of random sizes: the number of compilations is bounded, and memory does not grow.

python tests/long/predictions.py --count 2000
"""

import argparse
import json
import os
import random
import statistics
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]
os.environ["JAX_PLATFORMS"] = "cpu"

import numpy as np  # noqa: E402
from small import CONFIG, build, change  # noqa: E402

from maskrcnn_jax.prediction.predictor import Predictor  # noqa: E402
from maskrcnn_jax.training.compilation import Compilations  # noqa: E402

BUCKETS = ((64, 64), (64, 96), (96, 64))
BATCH = 4
MOST_GROWTH = 64 * 2**20
"""Bytes of resident memory from the second third to the last."""


def main() -> None:
    """Prints compilations and memory at each tenth; exit status 1 if they grow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    config = change(CONFIG.model, input__longest_edge=96, input__buckets=BUCKETS, detect__score_threshold=0.0)
    predictor = Predictor(build(config), batch_size=BATCH)
    noise = np.random.default_rng(given.seed).integers(0, 256, (600, 600, 3), np.uint8)
    seen: list[dict[str, int]] = []
    done = found = 0
    with Compilations() as compilations:
        while done < given.count:
            images = [noise[: rng.randint(1, 600), : rng.randint(1, 600)] for _ in range(rng.randint(1, 2 * BATCH))]
            found += sum(len(one.scores) for one in predictor(images))
            done += len(images)
            seen.append({"done": done, "programs": compilations.programs, "memory": resident()})
    for tenth in range(10):
        part = [one for one in seen if tenth <= 10 * one["done"] / given.count < tenth + 1]
        print(json.dumps(part[-1]))
    programs, most = seen[-1]["programs"], len(BUCKETS) * BATCH.bit_length()  # for each bucket of 1, 2 and 4 images
    thirds = [[one["memory"] for one in seen if third <= 3 * one["done"] / given.count < third + 1] for third in (1, 2)]
    growth = statistics.median(thirds[1]) - statistics.median(thirds[0])
    print(json.dumps({"predictions": done, "objects": found, "programs": programs, "at most": most, "growth": growth}))
    sys.exit(int(programs > most or growth > MOST_GROWTH))


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
