import pytest

from maskrcnn_jax.data.prepare.coco.box_agreement import BoxAgreement, agree, clip
from maskrcnn_jax.data.prepare.problems import Problems

SIZE = (64, 96)
EXTENT = (50, 20, 80, 45)


def reported(*boxes: tuple) -> tuple[dict, dict]:
    """Problems and warnings for boxes of objects whose mask lies within EXTENT."""
    agreement, problems, warnings = BoxAgreement(), Problems("F"), Problems("F")
    for number, box in enumerate(boxes, 1):
        agreement.compare(box, EXTENT, SIZE, f"annotation {number}")
    agreement.report(problems, warnings)
    return problems.offenders, warnings.offenders


@pytest.mark.parametrize(
    ("box", "likely"),
    [
        ((50, 20, 80, 45), "looks like corners [x0, y0, x1, y1]"),
        # 50 / 96, 20 / 64, 30 / 96, 25 / 64
        ((0.5208, 0.3125, 0.3125, 0.3906), "looks normalised to 0..1; COCO's is in pixels"),
        ((65, 32.5, 30, 25), "looks like [centre x, centre y, width, height]"),
        # 65 / 96, 32.5 / 64
        ((0.6771, 0.5078, 0.3125, 0.3906), "looks normalised, and centred as YOLO's"),
        ((20, 50, 25, 30), "looks like [y, x, height, width]"),
        ((2, 3, 9, 9), "is not about the extent of the mask"),
    ],
)
def test_the_likely_cause(box, likely):
    problems, warnings = reported(box)
    [(problem, names)] = problems.items()
    assert f"bbox {likely}" in problem
    assert problem.endswith("correct them, or take all boxes from the masks (--boxes-from-masks) (1 of 1 boxes)")
    assert len(names) == 1 and names[0].startswith("annotation 1, bbox [")
    assert names[0].endswith("], its mask within [50, 20, 80, 45]")
    assert not warnings


def test_a_few_differing_boxes_are_warned_of_and_half_are_refused():
    right, wrong = (50, 20, 30, 25), (2, 3, 9, 9)
    assert reported(right, right) == ({}, {})
    problems, warnings = reported(right, wrong, right)
    assert not problems
    assert [len(names) for names in warnings.values()] == [1] and "(1 of 3 boxes)" in next(iter(warnings))
    problems, warnings = reported(right, wrong)
    assert len(problems) == 1 and not warnings


def test_tolerance_by_hand():
    # Of a side of 100: 2 + 5 % of 107 = 7.35 pixels.
    assert agree((0, 0, 100, 50), (0, 0, 107, 50)) and not agree((0, 0, 100, 50), (0, 0, 108, 50))
    # Of one pixel: 2 + 5 % of 1.
    assert agree((0, 0, 1, 1), (2, 2, 3, 3)) and not agree((0, 0, 1, 1), (3, 0, 4, 1))


@pytest.mark.parametrize(
    ("box", "extent"),
    [
        # The three annotations of COCO farthest off: 1136436, 1206737 and 698705, [x, y, width, height].
        ((319.99, 262.29, 135.74, 7.52), (326, 262, 128, 8)),
        ((46.91, 341.76, 17.23, 36.37), (47, 342, 17, 33)),
        ((296.41, 205.36, 7.0, 8.53), (297, 206, 6, 7)),
    ],
)
def test_boxes_of_coco_agree(box, extent):
    assert agree(*((x, y, x + width, y + height) for x, y, width, height in (box, extent)))


def test_boxes_are_compared_inside_the_image():
    # 80 pixels wide, of which 46 lie inside.
    agreement, problems, warnings = BoxAgreement(), Problems("F"), Problems("F")
    agreement.compare((50, 20, 80, 25), (50, 20, 96, 45), SIZE, "annotation 1")
    agreement.report(problems, warnings)
    assert not problems.offenders and not warnings.offenders
    assert clip((-3, 2, 200, 100), SIZE) == (0, 2, 96, 64)
