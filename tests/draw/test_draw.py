"""Drawn where it should be, readable, inside the image, and without touching its input."""

import cv2
import numpy as np
import pytest

from maskrcnn_jax.draw.colors import PALETTE, distinct_color
from maskrcnn_jax.draw.curves import CURVES, compare_curves, plot_curves
from maskrcnn_jax.draw.detections import class_name, draw_detections, splash
from maskrcnn_jax.draw.images import image_grid, save_png
from maskrcnn_jax.masks.lazy_masks import Crops, Patch
from maskrcnn_jax.masks.paste import paste_mask
from maskrcnn_jax.structs import Detections

GRAY = np.full((480, 640, 3), 128, np.uint8)


def one(box, *, label=0, score=0.98, mask=None, valid=True):
    return Detections(
        boxes=np.array([box], np.float32),
        scores=np.array([score], np.float32),
        labels=np.array([label], np.int32),
        valid=np.array([valid]),
        masks=None if mask is None else mask[None],
    )


def rectangle(x0, y0, x1, y1):
    mask = np.zeros(GRAY.shape[:2], bool)
    mask[y0:y1, x0:x1] = True
    return mask


def read(path):
    return cv2.imread(str(path))[..., ::-1]


def test_the_mask_is_tinted_and_nothing_far_from_it_changes():
    before = GRAY.copy()
    drawn = draw_detections(GRAY, one([200, 150, 400, 300], mask=rectangle(200, 150, 400, 300)), ["cat"])
    np.testing.assert_array_equal(GRAY, before)
    # 60 % of 128 and 40 % of the first colour: 76.8 + .4 × (230, 159, 0) = (168.8, 140.4, 76.8)
    assert drawn[225, 300].tolist() == [169, 140, 77]
    assert drawn[150, 300].tolist() == drawn[225, 200].tolist() == list(PALETTE[0])  # box and outline
    changed = (drawn != GRAY).any(-1)
    assert not changed[:120].any() and not changed[310:].any() and not changed[:, :190].any()
    assert not changed[:, 410:].any()


def test_the_name_is_above_the_box_and_covers_no_object():
    box = [200, 150, 400, 300]
    drawn = draw_detections(GRAY, one(box), ["cat"])
    inner = drawn[155:295, 205:395]
    np.testing.assert_array_equal(inner, GRAY[155:295, 205:395])
    tag = (drawn[120:148] == PALETTE[0]).all(-1)
    assert tag.sum() > 300
    assert (drawn[120:148] == 0).all(-1).any()  # black ink


def test_the_name_has_class_and_score():
    names = ["cat", "dog"]
    box = [200, 150, 400, 300]
    cat = draw_detections(GRAY, one(box), names)
    same = draw_detections(GRAY, one(box, score=0.982), names)
    other = draw_detections(GRAY, one(box, score=0.5), names)
    number = draw_detections(GRAY, one(box), [])
    np.testing.assert_array_equal(cat, same)  # 0.98 both
    assert (cat != other).any() and (cat != number).any()


@pytest.mark.parametrize(
    "box",
    [[0, 0, 640, 480], [600, 0, 640, 20], [0, 460, 30, 480], [610, 470, 640, 480], [-50, -50, -10, -10]],
    ids=["whole image", "top right", "bottom left", "bottom right", "outside"],
)
def test_the_tag_is_whole_wherever_the_box_is(box):
    """What is above a box in the middle of the image is visible elsewhere."""
    middle = draw_detections(GRAY, one([300, 200, 340, 220]), ["cat"])
    ys, xs = np.nonzero((middle[:197] != GRAY[:197]).any(-1))
    tag = middle[ys.min() : 197, xs.min() : xs.max() + 1]
    assert tag.shape[0] > 12 and tag.shape[1] > 50
    drawn = draw_detections(GRAY, one(box), ["cat"])
    x, y = cv2.minMaxLoc(cv2.matchTemplate(drawn, tag, cv2.TM_SQDIFF))[2]
    np.testing.assert_array_equal(drawn[y : y + tag.shape[0], x : x + tag.shape[1]], tag)


def test_names_of_neighbours_do_not_cover_each_other():
    box = [300, 200, 340, 220]
    detections = Detections(
        boxes=np.array([box, box], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        labels=np.array([0, 1], np.int32),
        valid=np.array([True, True]),
        masks=None,
    )
    drawn = draw_detections(GRAY, detections, ["cat", "dog"])
    for label, name in enumerate(["cat", "dog"]):
        alone = draw_detections(GRAY, one(box, label=label), [name])
        pixels = [(image == PALETTE[label]).all(-1).sum() for image in (drawn, alone)]
        assert pixels[0] > 0.6 * pixels[1]


def test_the_best_is_on_top():
    masks = np.stack([rectangle(100, 100, 300, 300)] * 2)
    detections = Detections(
        boxes=np.array([[100, 100, 300, 300]] * 2, np.float32),
        scores=np.array([0.6, 0.9], np.float32),
        labels=np.array([0, 4], np.int32),
        valid=np.array([True, True]),
        masks=masks,
    )
    drawn = draw_detections(GRAY, detections, [])
    assert drawn[100, 200].tolist() == list(PALETTE[4])


@pytest.mark.parametrize("detections", [one([9, 9, 99, 99], valid=False), one([9, 9, 99, 99], score=0.4)])
def test_padding_and_low_scores_are_not_drawn(detections):
    np.testing.assert_array_equal(draw_detections(GRAY, detections, ["cat"], min_score=0.5), GRAY)


def test_a_small_image_is_enlarged_by_a_whole_factor():
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    nothing = one([0, 0, 1, 1], valid=False)
    drawn = draw_detections(image, nothing, [])
    assert drawn.shape == (384, 512, 3)  # 128 × 4 is the first that reaches 480
    np.testing.assert_array_equal(drawn[::4, ::4], image)
    np.testing.assert_array_equal(drawn[3::4, 3::4], image)
    mask = np.zeros((96, 128), bool)
    mask[40:60, 50:80] = True
    flat = np.full((96, 128, 3), 128, np.uint8)
    drawn = draw_detections(flat, one([50, 40, 80, 60], mask=mask), ["cat"])
    assert drawn[4 * 50, 4 * 65].tolist() == [169, 140, 77]
    assert (drawn[4 * 62 + 2 :] == 128).all()


def test_no_detections_give_the_image():
    empty = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, bool), None
    )
    np.testing.assert_array_equal(draw_detections(GRAY, empty), GRAY)


def luminance(color):
    linear = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in np.array(color) / 255
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def ratio(one, other):
    """Contrast as the W3C defines it."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("label", range(len(PALETTE)))
def test_ink_is_readable_on_every_tag(label):
    """At least 3 for text."""
    drawn = draw_detections(GRAY, one([200, 150, 400, 300], label=label), ["cat"])
    ink = (0, 0, 0) if (drawn == 0).all(-1).any() else (255, 255, 255)
    assert (drawn == ink).all(-1).any()
    assert ratio(ink, PALETTE[label]) >= 3


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), *PALETTE])
@pytest.mark.parametrize("label", range(len(PALETTE)))
def test_lines_and_tags_are_visible_on_any_background(label, ground):
    image = np.full((480, 640, 3), ground, np.uint8)
    drawn = draw_detections(image, one([200, 150, 400, 300], label=label), ["cat"])
    assert max(ratio(pixel, ground) for pixel in drawn[225, 195:205].tolist()) >= 2  # across the left line
    assert max(ratio(pixel, ground) for pixel in drawn[130:150, 202].tolist()) >= 2  # from above into the tag


def test_a_tag_is_set_off_from_its_frame():
    drawn = draw_detections(GRAY, one([200, 150, 400, 300], label=3), ["cat"])
    assert (drawn[149, 201:230] == 0).all() and (drawn[150, 240:390] == PALETTE[3]).all()


def test_names_do_not_cover_other_objects():
    boxes = np.array([[200, 150, 300, 250], [200, 100, 300, 149]], np.float32)
    detections = Detections(boxes, np.array([0.9, 0.8], np.float32), np.arange(2), np.ones(2, bool), None)
    drawn = draw_detections(GRAY, detections, ["cat", "dog"])
    for x0, y0, x1, y1 in boxes.astype(int).tolist():
        assert (drawn[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4] == 128).all()


def test_names_cover_an_eighth_of_a_crowd_at_most():
    corners = np.random.default_rng(0).uniform(0, (630, 470), (400, 2))
    boxes = np.concatenate([corners, corners + 1], axis=1).astype(np.float32)
    scores = np.linspace(0.9, 0.5, 400).astype(np.float32)
    detections = Detections(boxes, scores, np.zeros(400, int), np.ones(400, bool), None)
    covered = (draw_detections(GRAY, detections, ["elephant"]) == PALETTE[0]).all(-1).mean()
    assert 0.08 < covered < 0.13  # the letters are black


def test_lines_are_visible_on_white():
    assert all((1 + 0.05) / (luminance(color) + 0.05) >= 2 for color in CURVES)


def test_crops_are_drawn_like_whole_masks():
    patch = Patch(np.ones((28, 28), np.float32), np.array([200, 150, 400, 300], np.float32), (0, 0, 640, 480))
    whole = one([200, 150, 400, 300], mask=paste_mask(patch.probabilities, patch.place, 480, 640))
    cropped = whole._replace(masks=Crops([(patch,)]))
    np.testing.assert_array_equal(draw_detections(GRAY, cropped, ["cat"]), draw_detections(GRAY, whole, ["cat"]))
    np.testing.assert_array_equal(splash(GRAY, cropped), splash(GRAY, whole))


def test_colours_of_the_caller():
    drawn = draw_detections(GRAY, one([200, 150, 400, 300]), ["cat"], colors=[(1, 2, 3)])
    assert drawn[150, 300].tolist() == [1, 2, 3]
    assert not (drawn == PALETTE[0]).all(-1).any()


def test_more_classes_than_the_palette_have_colours_of_their_own():
    colors = [draw_detections(GRAY, one([200, 150, 400, 300], label=label))[150, 300].tolist() for label in (0, 7, 79)]
    assert colors == [list(distinct_color(label)) for label in (0, 7, 79)]


def test_a_small_image_keeps_its_size_on_request():
    image = np.full((96, 128, 3), 128, np.uint8)
    mask = np.zeros((96, 128), bool)
    mask[40:60, 50:80] = True
    drawn = draw_detections(image, one([50, 40, 80, 60], mask=mask), ["cat"], enlarge=False)
    assert drawn.shape == image.shape
    assert drawn[50, 65].tolist() == [169, 140, 77]  # the tint of the first test
    np.testing.assert_array_equal(drawn[64:], image[64:])


def test_splash_keeps_colour_where_an_object_is():
    # Gray after ITU-R BT.601: .299 × 200 + .587 × 100 + .114 × 50 = 124.2
    image = np.full((480, 640, 3), (200, 100, 50), np.uint8)
    found = one([10, 20, 30, 50], mask=rectangle(10, 20, 30, 50))
    splashed = splash(image, found)
    np.testing.assert_array_equal(splashed[20:50, 10:30], image[20:50, 10:30])
    assert splashed[19, 15].tolist() == splashed[50, 15].tolist() == splashed[30, 30].tolist() == [124] * 3
    assert (splashed == 124).all(-1).sum() == 480 * 640 - 30 * 20


@pytest.mark.parametrize("change", [{"valid": np.array([False])}, {"scores": np.array([0.4], np.float32)}])
def test_splash_leaves_out_padding_and_low_scores(change):
    image = np.full((480, 640, 3), (200, 100, 50), np.uint8)
    found = one([10, 20, 30, 50], mask=rectangle(10, 20, 30, 50))._replace(**change)
    assert (splash(image, found, min_score=0.5) == 124).all()


def test_a_label_without_a_name_is_called_by_its_number():
    assert [class_name(("cat", "dog"), label) for label in (0, 1, 2)] == ["cat", "dog", "2"]


def test_splash_without_masks_is_an_error():
    with pytest.raises(ValueError, match="without masks"):
        splash(GRAY, one([1, 1, 5, 5]))


def test_a_grid_by_hand():
    # Two columns of cells 3 wide; the first row is 2 high, the second 1; gap 1: 1 + 3 + 1 + 3 + 1 = 9 wide,
    # 1 + 2 + 1 + 1 + 1 = 6 high. The 1 × 1 image sits in the middle of its 2 × 3 cell: row 1, column 1 + 4 + 1.
    a, b, c = (np.full((*size, 3), value, np.uint8) for size, value in [((2, 3), 1), ((1, 1), 2), ((1, 3), 3)])
    laid = image_grid([a, b, c], 2, gap=1)[..., 0]
    w = 255
    assert laid.tolist() == [
        [w, w, w, w, w, w, w, w, w],
        [w, 1, 1, 1, w, w, 2, w, w],
        [w, 1, 1, 1, w, w, w, w, w],
        [w, w, w, w, w, w, w, w, w],
        [w, 3, 3, 3, w, w, w, w, w],
        [w, w, w, w, w, w, w, w, w],
    ]


@pytest.mark.parametrize(("images", "columns"), [([], 2), ([GRAY], 0)])
def test_a_grid_of_nothing_is_an_error(images, columns):
    with pytest.raises(ValueError, match="at least one of each"):
        image_grid(images, columns)


def test_png_keeps_every_pixel(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    save_png(tmp_path / "deep" / "image.png", image)
    np.testing.assert_array_equal(read(tmp_path / "deep" / "image.png"), image)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["image.png"]


def curve_colors(path):
    pixels = read(path).reshape(-1, 3)
    return [color for color in CURVES[1:] if (np.abs(pixels.astype(int) - color) <= 1).all(-1).sum() > 30]


def test_curves_have_a_panel_per_kind_of_figure(tmp_path):
    losses = [{"step": step, "loss": 100.0 / step, "loss/mask": 50.0 / step} for step in range(20, 400, 20)]
    plot_curves(losses, tmp_path / "loss.png")
    rated = [{"step": 200, "segm/AP": 0.3, "bbox/AP": 0.4, "segm/APs": 0.1, "segm/AP/cat": 0.5, "learning_rate": 0.1}]
    plot_curves(losses + rated, tmp_path / "all.png")
    one_panel, three_panels = read(tmp_path / "loss.png"), read(tmp_path / "all.png")
    assert three_panels.shape[1] == 3 * one_panel.shape[1]
    assert curve_colors(tmp_path / "loss.png") == [CURVES[1]]  # loss is black, loss/mask the next


def test_runs_are_compared_metric_by_metric(tmp_path):
    """The first run is black, the second of the next colour; it counts fewer steps and has no evaluation."""
    long = [{"step": step, "loss": 100.0 / step, "segm/AP50": step / 400} for step in range(20, 400, 20)]
    short = [{"step": step, "loss": 50.0 / step} for step in range(20, 100, 20)]
    compare_curves({"long": long}, tmp_path / "one.png", names=["loss"])
    compare_curves({"long": long, "short": short}, tmp_path / "two.png")
    assert read(tmp_path / "two.png").shape[1] == 2 * read(tmp_path / "one.png").shape[1]
    assert curve_colors(tmp_path / "one.png") == []
    assert curve_colors(tmp_path / "two.png") == [CURVES[1]]
    with pytest.raises(ValueError, match=r"'segm/AP' is recorded in none of long, short; there is loss, segm/AP50"):
        compare_curves({"long": long, "short": short}, tmp_path / "none.png", names=["segm/AP"])
    for runs, names in (({}, ["loss"]), ({"long": long}, [])):
        with pytest.raises(ValueError, match="nothing to draw: name at least one run folder, and one metric"):
            compare_curves(runs, tmp_path / "none.png", names=names)
    assert not (tmp_path / "none.png").exists()


def test_names_of_runs_are_drawn_as_they_are(tmp_path):
    """Also those that Matplotlib would read as mathematics, or leave out of a legend."""
    records = [{"step": step, "loss": 1.0 / step} for step in (1, 2)]
    for pair in (("$x_{$", "$x_}$"), ("_one", "_two")):
        for name in pair:
            compare_curves({name: records, "b": records}, tmp_path / f"{name}.png", names=["loss"])
        one, two = (read(tmp_path / f"{name}.png") for name in pair)
        assert one.shape != two.shape or (one != two).any()


def test_curves_take_what_is_not_finite_and_empty_runs(tmp_path):
    plot_curves([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 1.0}], tmp_path / "nan.png")
    plot_curves([], tmp_path / "empty.png")
    assert read(tmp_path / "nan.png").shape == read(tmp_path / "empty.png").shape
