"""Detectron2's network in NumPy, layer by layer as PyTorch defines them: `[c, h, w]` and the arrays of its file."""

import numpy as np

Arrays = dict[str, np.ndarray]
RPN, HEADS = "proposal_generator.rpn_head", "roi_heads"


def convolve(x: np.ndarray, weight: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """Cross-correlation; with fewer inputs in the weight than in `x`, each group of outputs has its group of inputs."""
    outputs, seen, size, _ = weight.shape
    groups = x.shape[0] // seen
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height, width = ((side - size) // stride + 1 for side in x.shape[1:])
    out = np.zeros((outputs, height, width))
    for dy in range(size):
        for dx in range(size):
            part = x[:, dy : dy + stride * (height - 1) + 1 : stride, dx : dx + stride * (width - 1) + 1 : stride]
            for group in range(groups):
                own = slice(group * outputs // groups, (group + 1) * outputs // groups)
                inputs = part[group * seen : (group + 1) * seen]
                out[own] += np.einsum("oi,ihw->ohw", weight[own, :, dy, dx].astype(np.float64), inputs)
    return out


class Detectron2:
    """The layers of a file, each called by its name."""

    def __init__(self, arrays: Arrays, stride_in_1x1: bool):
        self.arrays = arrays
        self.strides = (True, False) if stride_in_1x1 else (False, True)

    def conv(self, name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
        """Padded to keep the size, with its bias or its norm."""
        weight = self.arrays[f"{name}.weight"]
        x = convolve(x, weight, stride, weight.shape[2] // 2)
        if f"{name}.bias" in self.arrays:
            return x + self.arrays[f"{name}.bias"][:, None, None]
        if f"{name}.norm.running_mean" in self.arrays:
            mean, var = (
                self.arrays[f"{name}.norm.running_{s}"].astype(np.float64)[:, None, None] for s in ("mean", "var")
            )
            x = (x - mean) / np.sqrt(var + 1e-5)
        return x * self.arrays[f"{name}.norm.weight"][:, None, None] + self.arrays[f"{name}.norm.bias"][:, None, None]

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.arrays[f"{name}.weight"].astype(np.float64) @ x + self.arrays[f"{name}.bias"]

    def block(self, name: str, x: np.ndarray, stride: int) -> np.ndarray:
        first, second = (stride if strided else 1 for strided in self.strides)
        y = relu(self.conv(f"{name}.conv1", x, first))
        y = relu(self.conv(f"{name}.conv2", y, second))
        y = self.conv(f"{name}.conv3", y)
        return relu(y + (self.conv(f"{name}.shortcut", x, stride) if f"{name}.shortcut.weight" in self.arrays else x))

    def pyramid(self, image: np.ndarray) -> list[np.ndarray]:
        """P2 … P6 of a normalised image `[3, h, w]`."""
        bottom_up = "backbone.bottom_up"
        x = max_pool(relu(self.conv(f"{bottom_up}.stem.conv1", image, 2)))
        merged = {}
        for stage in (2, 3, 4, 5):
            block = 0
            while f"{bottom_up}.res{stage}.{block}.conv1.weight" in self.arrays:
                x = self.block(f"{bottom_up}.res{stage}.{block}", x, 2 if stage > 2 and block == 0 else 1)
                block += 1
            merged[stage] = self.conv(f"backbone.fpn_lateral{stage}", x)
        for stage in (4, 3, 2):
            merged[stage] = merged[stage] + merged[stage + 1].repeat(2, axis=1).repeat(2, axis=2)
        levels = [self.conv(f"backbone.fpn_output{stage}", merged[stage]) for stage in (2, 3, 4, 5)]
        return [*levels, levels[-1][:, ::2, ::2]]

    def rpn(self, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits `[a]` and deltas `[a, 4]` of a level's anchors: row, column, then ratio."""
        names = [f"{RPN}.conv"] if f"{RPN}.conv.weight" in self.arrays else [f"{RPN}.conv.conv0", f"{RPN}.conv.conv1"]
        for name in names:
            level = relu(self.conv(name, level))
        logits = self.conv(f"{RPN}.objectness_logits", level)
        deltas = self.conv(f"{RPN}.anchor_deltas", level).reshape(-1, 4, *level.shape[1:])
        return logits.transpose(1, 2, 0).reshape(-1), deltas.transpose(2, 3, 0, 1).reshape(-1, 4)

    def box(self, roi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, background last, and deltas `[classes, 4]` of one roi `[c, 7, 7]`."""
        i = 1
        while f"{HEADS}.box_head.conv{i}.weight" in self.arrays:
            roi = relu(self.conv(f"{HEADS}.box_head.conv{i}", roi))
            i += 1
        x = relu(self.linear(f"{HEADS}.box_head.fc1", roi.reshape(-1)))  # channel, row, column
        if f"{HEADS}.box_head.fc2.weight" in self.arrays:
            x = relu(self.linear(f"{HEADS}.box_head.fc2", x))
        scores = np.exp(self.linear(f"{HEADS}.box_predictor.cls_score", x))
        return scores / scores.sum(), self.linear(f"{HEADS}.box_predictor.bbox_pred", x).reshape(-1, 4)

    def masks(self, roi: np.ndarray) -> np.ndarray:
        """Masks `[classes, 28, 28]` of one roi `[c, 14, 14]`."""
        for i in (1, 2, 3, 4):
            roi = relu(self.conv(f"{HEADS}.mask_head.mask_fcn{i}", roi))
        roi = relu(self.deconv(f"{HEADS}.mask_head.deconv", roi))
        return 1 / (1 + np.exp(-self.conv(f"{HEADS}.mask_head.predictor", roi)))

    def deconv(self, name: str, x: np.ndarray) -> np.ndarray:
        """Each cell makes four; the weight is `[inputs, outputs, 2, 2]`."""
        weight = self.arrays[f"{name}.weight"].astype(np.float64)
        out = np.zeros((weight.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                for dy in range(2):
                    for dx in range(2):
                        out[:, 2 * i + dy, 2 * j + dx] += x[:, i, j] @ weight[:, :, dy, dx]
        return out + self.arrays[f"{name}.bias"][:, None, None]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def max_pool(x: np.ndarray) -> np.ndarray:
    """3×3 at stride 2, padded by one on all sides."""
    height, width = x.shape[1] // 2, x.shape[2] // 2
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    return np.max([x[:, dy::2, dx::2][:, :height, :width] for dy in range(3) for dx in range(3)], axis=0)
