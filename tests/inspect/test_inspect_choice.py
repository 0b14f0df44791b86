"""Which image single steps show: by its number or file name, or drawn among those that show most."""

import numpy as np
import pytest
from examples import Images, example

from maskrcnn_jax.config import ConfigError, ShapesSource
from maskrcnn_jax.data import BrokenImage, Shapes
from maskrcnn_jax.inspect.choice import choose_image, draw_image, find_image

BOX = (0, (5, 5, 20, 20))


def test_images_are_found_by_number():
    source = Shapes(ShapesSource(first=100, count=20))
    assert find_image(source, 113) == choose_image(source, 113) == 13 and source[13].image_id == 113
    images = Images(example(image_id=30), example(image_id=4), example(image_id=19))
    assert find_image(images, 4) == 1


def test_images_are_found_by_file_name():
    source = Shapes(ShapesSource(first=100, count=20))
    assert find_image(source, "000000000113.png") == choose_image(source, "000000000113.png") == 13
    message = r"image_id = 5\.jpg: the data has no such image; it has 2, from 30\.jpg to 4\.jpg: 30\.jpg, 4\.jpg$"
    with pytest.raises(ValueError, match=message):
        find_image(Images(example(image_id=30), example(image_id=4)), "5.jpg")


def test_numbers_are_named_where_one_is_unknown():
    message = r"image_id = 5: the data has no such image; it has 2, from 4 to 30: 30, 4$"
    with pytest.raises(ValueError, match=message):
        find_image(Images(example(image_id=30), example(image_id=4)), 5)
    message = r"image_id = 1000000: .* it has 1000000, from 0 to 999999: 0, 1, 2, 3, 4, …$"
    with pytest.raises(ValueError, match=message):
        choose_image(Shapes(ShapesSource()), 1_000_000)


def test_an_image_is_drawn_among_those_with_objects():
    """Of six images the fourth and the last have an object; one is broken, one has a crowd alone."""
    crowd = example(BOX, is_crowd=np.array([True]))
    images = Images(example(), None, crowd, example(BOX), example(), example(BOX))
    drawn = [choose_image(images, None, seed) for seed in range(20)]
    assert set(drawn) == {3, 5}
    assert drawn == [draw_image(images, seed) for seed in range(20)]


def test_without_objects_any_image_is_drawn():
    crowd = example(BOX, is_crowd=np.array([True]))
    assert {draw_image(Images(None, crowd, None), seed) for seed in range(5)} == {1}
    assert {draw_image(Images(example(), None, example()), seed) for seed in range(20)} == {0, 2}


def test_no_more_images_are_decoded_than_needed():
    """After those with objects, of which there are none, the first that can be decoded is taken."""
    read: list[int] = []

    class Watched(Images):
        def __getitem__(self, index: int):
            read.append(index)
            return super().__getitem__(index)

    assert draw_image(Watched(*[example()] * 9), 0) == read[0] and len(read) == 1


def test_where_there_is_no_image():
    with pytest.raises(BrokenImage, match=r"no image of 2 can be read, the last: image \d is broken"):
        choose_image(Images(None, None), None)
    with pytest.raises(ConfigError, match="holds no image"):
        choose_image(Images(), None)
