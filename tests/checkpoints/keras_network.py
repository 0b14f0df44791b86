"""Matterport's network in NumPy, layer by layer as Keras defines them: `[h, w, c]` and the arrays of its file."""

import numpy as np

Arrays = dict[str, np.ndarray]


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int = 1, pad: int = 0) -> np.ndarray:
    """Cross-correlation with a kernel `[kh, kw, inputs, outputs]`, zeros around."""
    size = kernel.shape[0]
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    height, width = ((side - size) // stride + 1 for side in x.shape[:2])
    out = np.zeros((height, width, kernel.shape[3]))
    for dy in range(size):
        for dx in range(size):
            seen = x[dy : dy + stride * (height - 1) + 1 : stride, dx : dx + stride * (width - 1) + 1 : stride]
            out += seen @ kernel[dy, dx].astype(np.float64)
    return out


class Keras:
    """The layers of a file, each called by its name."""

    def __init__(self, arrays: Arrays):
        self.arrays = arrays

    def conv(self, name: str, x: np.ndarray, stride: int = 1, pad: int = 0) -> np.ndarray:
        return convolve(x, self.arrays[f"{name}/kernel"], stride, pad) + self.arrays[f"{name}/bias"]

    def dense(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.arrays[f"{name}/kernel"].astype(np.float64) + self.arrays[f"{name}/bias"]

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        mean, variance = (self.arrays[f"{name}/moving_{kind}"].astype(np.float64) for kind in ("mean", "variance"))
        return self.arrays[f"{name}/gamma"] * (x - mean) / np.sqrt(variance + 1e-3) + self.arrays[f"{name}/beta"]

    def block(self, name: str, x: np.ndarray, stride: int) -> np.ndarray:
        """A bottleneck: its first 1×1 convolution has the stride, and the shortcut of an "a" block."""
        y = relu(self.norm(f"bn{name}_branch2a", self.conv(f"res{name}_branch2a", x, stride)))
        y = relu(self.norm(f"bn{name}_branch2b", self.conv(f"res{name}_branch2b", y, pad=1)))
        y = self.norm(f"bn{name}_branch2c", self.conv(f"res{name}_branch2c", y))
        if name.endswith("a"):
            x = self.norm(f"bn{name}_branch1", self.conv(f"res{name}_branch1", x, stride))
        return relu(x + y)

    def pyramid(self, image: np.ndarray, blocks: dict[int, str]) -> list[np.ndarray]:
        """P2 … P6 of a normalised image."""
        x = relu(self.norm("bn_conv1", self.conv("conv1", image, stride=2, pad=3)))
        x = max_pool_same(x)
        stages = {}
        for stage, letters in blocks.items():
            for letter in letters:
                x = self.block(f"{stage}{letter}", x, stride=2 if letter == "a" and stage > 2 else 1)
            stages[stage] = x
        top = self.conv("fpn_c5p5", stages[5])
        merged = {5: top}
        for stage in (4, 3, 2):
            top = np.repeat(np.repeat(top, 2, axis=0), 2, axis=1) + self.conv(f"fpn_c{stage}p{stage}", stages[stage])
            merged[stage] = top
        levels = [self.conv(f"fpn_p{stage}", merged[stage], pad=1) for stage in (2, 3, 4, 5)]
        return [*levels, levels[-1][::2, ::2]]

    def rpn(self, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (background, object) and deltas (dy, dx, dh, dw) of a level's anchors."""
        shared = relu(self.conv("rpn_conv_shared", level, pad=1))
        return softmax(self.conv("rpn_class_raw", shared).reshape(-1, 2)), self.conv("rpn_bbox_pred", shared).reshape(
            -1, 4
        )

    def classifier(self, roi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, background first, and deltas `[classes, 4]` of one roi `[7, 7, c]`."""
        x = relu(self.norm("mrcnn_class_bn1", self.conv("mrcnn_class_conv1", roi)))
        x = relu(self.norm("mrcnn_class_bn2", self.conv("mrcnn_class_conv2", x)))[0, 0]
        return softmax(self.dense("mrcnn_class_logits", x)), self.dense("mrcnn_bbox_fc", x).reshape(-1, 4)

    def masks(self, roi: np.ndarray) -> np.ndarray:
        """Masks `[28, 28, classes]` of one roi `[14, 14, c]`, background first."""
        x = roi
        for i in (1, 2, 3, 4):
            x = relu(self.norm(f"mrcnn_mask_bn{i}", self.conv(f"mrcnn_mask_conv{i}", x, pad=1)))
        x = relu(self.deconv("mrcnn_mask_deconv", x))
        return 1 / (1 + np.exp(-self.conv("mrcnn_mask", x)))

    def deconv(self, name: str, x: np.ndarray) -> np.ndarray:
        """Each cell makes four: the gradient of a 2×2 convolution at stride 2 whose kernel is `[2, 2, out, in]`."""
        kernel = self.arrays[f"{name}/kernel"].astype(np.float64)
        out = np.zeros((2 * x.shape[0], 2 * x.shape[1], kernel.shape[2]))
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                for dy in range(2):
                    for dx in range(2):
                        out[2 * i + dy, 2 * j + dx] += kernel[dy, dx] @ x[i, j]
        return out + self.arrays[f"{name}/bias"]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def softmax(x: np.ndarray) -> np.ndarray:
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def max_pool_same(x: np.ndarray) -> np.ndarray:
    """3×3 at stride 2 with TensorFlow's SAME padding of an even side: none before, one after."""
    x = np.pad(x, ((0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
    height, width = x.shape[0] // 2, x.shape[1] // 2
    windows = [
        x[dy : dy + 2 * height : 2, dx : dx + 2 * width : 2][:height, :width] for dy in range(3) for dx in range(3)
    ]
    return np.max(windows, axis=0)
