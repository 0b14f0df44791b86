import io

import numpy as np
import pytest
from conftest import make_image
from PIL import ExifTags, Image, ImageOps

from maskrcnn_jax.data.images.orientation import SWAPPING, stored, turned


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("raster", [make_image(5, 7), make_image(6, 6), make_image(5, 7)[..., 0]])
def test_a_raster_is_turned_as_pillow_turns_it(orientation, raster):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    Image.fromarray(raster).save(file, "PNG", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(turned(raster, orientation), upright)
    assert (upright.shape[:2] == raster.shape[1::-1]) or orientation not in SWAPPING
    np.testing.assert_array_equal(stored(upright, orientation), raster)
