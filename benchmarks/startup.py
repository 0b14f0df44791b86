"""Start: a new process imports the package, loads a weight file and predicts one image of 800 × 1088.

make bench ARGS=startup
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import tyro

OURS = """
import sys, time
start = time.perf_counter()
import numpy as np
import maskrcnn_jax as mr
imported = time.perf_counter()
predictor = mr.Predictor(mr.load_pretrained(sys.argv[1]))
image = np.load(sys.argv[2])
loaded = time.perf_counter()
predictor([image])
first = time.perf_counter()
predictor([image])
second = time.perf_counter()
"""
THEIRS = """
import sys, time
start = time.perf_counter()
import numpy as np
import torch
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
imported = time.perf_counter()
model = MaskRCNN(resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5), 91).eval()
model.load_state_dict(torch.load(sys.argv[1]))
image = np.load(sys.argv[2])
loaded = time.perf_counter()
def predict():
    with torch.inference_mode():
        model([torch.from_numpy(image).permute(2, 0, 1).float() / 255])
predict()
first = time.perf_counter()
predict()
second = time.perf_counter()
"""
TIMES = """
import json
print(json.dumps({
    "import": imported - start,
    "load": loaded - imported,
    "first prediction": first - loaded,
    "second prediction": second - first,
    "from start to first prediction": first - start,
}))
"""


def main(rounds: int = 3) -> None:
    """Times each in new processes, in turn; this project compiles in its first prediction, or reads from a cache."""
    import models
    import numpy as np
    import torch
    from images import random_image
    from pair import report

    image = random_image(800, 1088, seed=0)
    theirs, _ = models.models(image, background=3.0)
    with tempfile.TemporaryDirectory() as folder:
        weights, pixels = Path(folder) / "weights.pth", Path(folder) / "image.npy"
        torch.save(theirs.state_dict(), weights)
        np.save(pixels, image)
        cache = {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "cache")}
        # A first run fills the cache, and does not count.
        variants = {"theirs": (THEIRS, {}), "ours": (OURS, no_cache()), "ours, cached": (OURS, cache)}
        run(OURS, cache, weights, pixels)
        times = [{name: run(*v, weights, pixels) for name, v in variants.items()} for _ in range(rounds)]
    results = {}
    for part in times[0]["ours"]:
        median = {name: statistics.median(round_[name][part] for round_ in times) for name in variants}
        ratio, cached = (median[name] / median["theirs"] for name in ("ours", "ours, cached"))
        results[part] = median | {"ratio": ratio, "ratio, cached": cached, "rounds": rounds}
    report("startup", results)


def no_cache() -> dict[str, str]:
    """Environment variables that turn the compilation cache off."""
    return {"JAX_ENABLE_COMPILATION_CACHE": "false"}


def run(code: str, settings: dict[str, str], weights: Path, image: Path) -> dict[str, float]:
    """Seconds of each part, in a new process."""
    command = [sys.executable, "-c", code + TIMES, str(weights), str(image)]
    done = subprocess.run(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    tyro.cli(main)
