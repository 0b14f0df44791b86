"""Each way to resize equals its definition, and what the system that it is named after gave."""

import numpy as np
import pytest

from maskrcnn_jax.data.transforms.resize import resize

SMALL = np.array([[0, 100, 200, 50], [255, 30, 60, 90], [10, 20, 250, 0]], np.uint8)


def gray(values) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8)[..., None], 3, axis=2)


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Between the centres of the four nearest pixels; beyond the outer centres the outer pixel continues."""
    height, width = image.shape[:2]
    result = np.zeros((*size, image.shape[2]))
    for y in range(size[0]):
        for x in range(size[1]):
            v = np.clip((y + 0.5) * height / size[0] - 0.5, 0, height - 1)
            u = np.clip((x + 0.5) * width / size[1] - 0.5, 0, width - 1)
            top, left = int(v), int(u)
            for row, share in ((top, 1 - (v - top)), (min(top + 1, height - 1), v - top)):
                for column, part in ((left, 1 - (u - left)), (min(left + 1, width - 1), u - left)):
                    result[y, x] += share * part * image[row, column]
    return result


def triangle(old: int, new: int) -> np.ndarray:
    """Weights of a filter as wide as the reduction, and never narrower than bilinear interpolation."""
    reduction = max(1.0, old / new)
    weights = np.zeros((new, old))
    for i in range(new):
        for k in range(old):
            weights[i, k] = max(0.0, 1 - abs((k + 0.5) - (i + 0.5) * old / new) / reduction)
    return weights / weights.sum(axis=1, keepdims=True)


SIZES = [((7, 9), (12, 17)), ((17, 12), (9, 7)), ((20, 6), (11, 15)), ((3, 1), (1, 4))]


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_exact_is_its_definition(old, new):
    found = resize(random_image(*old), new, "exact")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, bilinear(random_image(*old), new), atol=1e-3)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_rounded_is_exact_to_whole_values(old, new):
    found = resize(random_image(*old), new, "rounded")
    assert found.dtype == np.uint8
    # OpenCV's weights have 11 bits, so a value near a half may go to either side.
    np.testing.assert_allclose(found, bilinear(random_image(*old), new), atol=0.5 + 0.5)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_antialiased_is_its_definition(old, new):
    image = random_image(*old)
    down, across = triangle(old[0], new[0]), triangle(old[1], new[1])
    found = resize(image, new, "antialiased")
    assert found.dtype == np.uint8
    # Pillow rounds twice, after each axis.
    np.testing.assert_allclose(found, np.einsum("yi,ijc,xj->yxc", down, image, across), atol=1.01)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_truncated_is_bilinear_with_black_around_and_no_darker_than_the_image(old, new):
    image = random_image(*old) // 2 + 40
    around = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    height, width = old
    ys = [(y + 0.5) * height / new[0] + 0.5 for y in range(new[0])]
    xs = [(x + 0.5) * width / new[1] + 0.5 for x in range(new[1])]
    found = resize(image, new, "truncated")
    for y, v in enumerate(ys):
        for x, u in enumerate(xs):
            top, left = int(v), int(u)
            corners = around[top : top + 2, left : left + 2].astype(float)
            shares = np.outer([1 - (v - top), v - top], [1 - (u - left), u - left])
            value = np.maximum((corners * shares[..., None]).sum((0, 1)), image.min())
            sure = np.abs(value - np.round(value)) > 1e-3  # else float32 may fall to either side of a whole number
            assert (found[y, x] == value.astype(np.uint8))[sure].all(), (y, x)


def test_a_filter_by_hand():
    # Half as wide: new pixel 0 has its centre at 1, and the filter reaches 2 to each side. Old centres .5 1.5 2.5 are
    # .5 .5 1.5 away: weights .75 .75 .25, (.75 · 0 + .75 · 70 + .25 · 140) / 1.75 = 50. From the right 210 - 50 = 160.
    # Without the filter only the two nearest count: (0 + 70) / 2 = 35 and (140 + 210) / 2 = 175.
    row = gray([[0, 70, 140, 210]])
    assert resize(row, (1, 2), "antialiased")[0, :, 0].tolist() == [50, 160]
    assert resize(row, (1, 2), "exact")[0, :, 0].tolist() == [35, 175]


def test_truncation_by_hand():
    # Positions -.25 .25 .75 1.25: ¾ · 201 from the black outside, then ¾ · 201 + ¼ · 0, ¼ · 201, ¾ · 0.
    assert resize(gray([[201, 0]]), (1, 4), "truncated")[0, :, 0].tolist() == [150, 150, 50, 0]
    # 150.75, 176, 126, and 75.75, which is darker than anything in the image.
    assert resize(gray([[201, 101]]), (1, 4), "truncated")[0, :, 0].tolist() == [150, 176, 126, 101]


def test_equal_to_torch():
    """`torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` of torch 2.14."""
    np.testing.assert_allclose(
        resize(gray(SMALL), (4, 6), "exact")[..., 0],
        [
            [0, 50, 116.6667, 183.3333, 125, 50],
            [159.375, 107.8125, 65.625, 103.125, 93.75, 75],
            [163.125, 94.6875, 43.75, 113.75, 93.75, 56.25],
            [10, 15, 58.3334, 211.6667, 125, 0],
        ],
        atol=1e-3,
    )
    np.testing.assert_allclose(
        resize(gray(SMALL), (2, 3), "exact")[..., 0], [[66.875, 123.75, 77.5], [63.125, 112.5, 52.5]], atol=1e-3
    )


def test_equal_to_pillow():
    """`Image.resize(…, Image.BILINEAR)` of Pillow 12."""
    assert resize(gray(SMALL), (2, 3), "antialiased")[..., 0].tolist() == [[89, 111, 90], [79, 101, 77]]


def test_equal_to_skimage():
    """`skimage.transform.resize(order=1, mode="constant", preserve_range=True, anti_aliasing=False)` of 0.26."""
    enlarged = [
        [0, 28.57, 74.29, 120, 151.43, 82.86, 31.43],
        [80.14, 91.29, 74.14, 108, 138.43, 93.86, 51.86],
        [200.36, 174.64, 46.07, 45, 62.14, 79.29, 70.71],
        [84.86, 78, 30, 99, 164.14, 85.29, 28.29],
        [6.29, 10.86, 15.43, 108, 185.71, 71.43, 0],
    ]
    # Whole values may become one less in either system.
    found = resize(gray(SMALL), (5, 7), "truncated")[..., 0]
    cut = np.floor(enlarged)
    assert ((found == cut) | ((cut == enlarged) & (found == cut - 1))).all()
    assert resize(gray(SMALL), (2, 3), "truncated")[..., 0].tolist() == [[66, 123, 77], [63, 112, 52]]


@pytest.mark.parametrize("interpolation", ["rounded", "exact", "antialiased", "truncated"])
def test_an_image_of_the_right_size_stays(interpolation):
    image = random_image(5, 8)
    found = resize(image, (5, 8), interpolation)
    np.testing.assert_array_equal(found, image)
    assert found.dtype == (np.float32 if interpolation == "exact" else np.uint8)


@pytest.mark.parametrize("interpolation", ["rounded", "exact", "antialiased"])
def test_one_color_stays(interpolation):
    np.testing.assert_array_equal(resize(np.full((9, 7, 3), 201, np.uint8), (13, 5), interpolation), 201)
