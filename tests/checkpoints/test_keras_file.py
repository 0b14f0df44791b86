"""Keras files give "layer/weight", however deep Keras nested them, and never read another file."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError

KERNEL = np.arange(6, dtype=np.float32).reshape(1, 2, 3)


def write(path, arrays, **options):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **options)
        # As Keras does: the layers in the order of the model, and one that has no weights.
        file.create_group("input_image")
        file.attrs["layer_names"] = [name.encode() for name in file]
    return path


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ("conv1/conv1/kernel:0", "conv1/kernel"),
        ("conv1/kernel:0", "conv1/kernel"),
        ("conv1/kernel", "conv1/kernel"),
        # A model that was built a second time in one session.
        ("conv1/conv1_1/kernel:0", "conv1/kernel"),
        ("mrcnn_mask_bn1/mrcnn_mask_bn1/moving_variance:0", "mrcnn_mask_bn1/moving_variance"),
        ("conv1/outer/conv1/kernel:0", "conv1/kernel"),
        ("model_weights/conv1/conv1/kernel:0", "conv1/kernel"),
    ],
)
def test_names_are_layer_and_weight(tmp_path: Path, inside: str, name: str):
    weights = open_weights(write(tmp_path / "w.h5", {inside: KERNEL}))
    assert list(weights) == [name]
    np.testing.assert_array_equal(weights[name], KERNEL)
    assert (weights.shape(name), weights.dtype(name)) == ((1, 2, 3), np.float32)


def test_a_layer_that_is_a_model_gives_its_layers(tmp_path: Path):
    arrays = {
        "rpn_model/rpn_conv_shared/kernel:0": KERNEL,
        "rpn_model/rpn_conv_shared/bias:0": KERNEL[0],
        "rpn_model/rpn_class_raw/bias:0": KERNEL[0, 0],
    }
    weights = open_weights(write(tmp_path / "w.h5", arrays))
    assert set(weights) == {"rpn_conv_shared/kernel", "rpn_conv_shared/bias", "rpn_class_raw/bias"}
    np.testing.assert_array_equal(weights["rpn_class_raw/bias"], KERNEL[0, 0])


def test_of_whole_models_the_optimizer_is_left_out(tmp_path: Path):
    arrays = {"model_weights/conv1/conv1/kernel:0": KERNEL, "optimizer_weights/SGD/conv1/kernel/momentum:0": KERNEL}
    assert list(open_weights(write(tmp_path / "w.h5", arrays))) == ["conv1/kernel"]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", "<i8", "u1"])
def test_types_are_kept_in_the_byte_order_of_the_machine(tmp_path: Path, dtype: str):
    weights = open_weights(write(tmp_path / "w.h5", {"a/w": KERNEL.astype(dtype), "b/s": np.array(2, dtype)}))
    assert weights["a/w"].dtype == weights.dtype("a/w") == np.dtype(dtype).newbyteorder("=")
    assert weights["a/w"].dtype.isnative
    np.testing.assert_array_equal(weights["a/w"], KERNEL)
    assert weights["b/s"].shape == ()
    assert weights["b/s"] == 2


def test_compressed_weights_are_read(tmp_path: Path):
    path = write(tmp_path / "w.h5", {"a/w": np.zeros((100, 100))}, compression="gzip")
    assert path.stat().st_size < 20_000 < open_weights(path)["a/w"].nbytes


def test_two_weights_of_one_name_are_refused(tmp_path: Path):
    path = write(tmp_path / "w.h5", {"m/a/w": KERNEL, "m/b/w": KERNEL, "n/a/w": KERNEL, "n/c/w": KERNEL})
    with pytest.raises(WeightFileError, match=r"w\.h5 has several weights of one name: \['a/w'\]"):
        open_weights(path)


@pytest.mark.parametrize(
    "value", [np.array(["text"], "O"), np.array([b"x"]), np.zeros(1, [("a", "f4")]), h5py.Empty("f")]
)
def test_what_is_no_numbers_is_refused(tmp_path: Path, value: object):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["a/w"] = value
    with pytest.raises(WeightFileError, match=r"w\.h5: a/w is of type .* and weights are numbers"):
        open_weights(tmp_path / "w.h5")


def test_files_without_weights_are_named(tmp_path: Path):
    with pytest.raises(WeightFileError, match=r"w\.h5 is an HDF5 file without weights"):
        open_weights(write(tmp_path / "w.h5", {}))


# Other files.


@pytest.fixture
def secret(tmp_path):
    """A file that the file of weights points at."""
    write(tmp_path / "secret.h5", {"a/w": KERNEL})
    (tmp_path / "secret.bin").write_bytes(KERNEL.tobytes())
    return tmp_path


def test_links_are_not_followed(secret: Path):
    with h5py.File(secret / "w.h5", "w") as file:
        file["mine/w"] = KERNEL
        file["a"] = h5py.ExternalLink("secret.h5", "/a")
        file["model_weights"] = h5py.ExternalLink("secret.h5", "/")
        file["b/w"] = h5py.ExternalLink("secret.h5", "/a/w")
    with h5py.File(secret / "w.h5", "r") as file:
        assert file["b/w"].shape == KERNEL.shape  # h5py would follow
    assert list(open_weights(secret / "w.h5")) == ["mine/w"]


def test_arrays_in_other_files_are_refused(secret: Path):
    with h5py.File(secret / "w.h5", "w") as file:
        file.create_dataset("a/w", KERNEL.shape, "f4", external=[(str(secret / "secret.bin"), 0, KERNEL.nbytes)])
    with pytest.raises(WeightFileError, match=r"w\.h5: a/w lies in another file"):
        open_weights(secret / "w.h5")


def test_virtual_arrays_are_refused(secret: Path):
    layout = h5py.VirtualLayout(KERNEL.shape, "f4")
    layout[...] = h5py.VirtualSource(str(secret / "secret.h5"), "a/w", KERNEL.shape)
    with h5py.File(secret / "w.h5", "w") as file:
        file.create_virtual_dataset("a/w", layout)
    with pytest.raises(WeightFileError, match=r"w\.h5: a/w lies in another file"):
        open_weights(secret / "w.h5")


# Damage.


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_named(tmp_path: Path, part: float):
    path = write(tmp_path / "w.h5", {f"layer{n}/w": KERNEL for n in range(10)})
    whole = path.read_bytes()
    path.write_bytes(whole[: max(16, int(part * len(whole)))])
    with pytest.raises(WeightFileError, match=r"w\.h5 is cut off or damaged"):
        open_weights(path)


def test_a_damaged_array_is_named_when_it_is_read(tmp_path: Path):
    numbers = np.random.default_rng(0).integers(0, 9, (64, 64))
    path = write(tmp_path / "w.h5", {"a/w": np.zeros(2), "b/w": numbers}, compression="gzip")
    with h5py.File(path) as file:
        chunk = file["b/w"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 50 : chunk.byte_offset + 90] = bytes(40)
    path.write_bytes(data)
    weights = open_weights(path)
    np.testing.assert_array_equal(weights["a/w"], 0)
    with pytest.raises(WeightFileError, match=r"w\.h5: b/w of shape \(64, 64\) cannot be read"):
        weights["b/w"]


# Arrays that claim more than the file holds.


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (10**6, 10**6), "chunks": (10, 10)},
        {"shape": (10**6, 10**6), "chunks": (10, 10), "compression": "gzip"},
        {"shape": (1,), "maxshape": (None,), "chunks": (10**8,), "compression": "gzip"},
    ],
    ids=["never written", "compressed", "one large chunk"],
)
def test_arrays_larger_than_what_is_stored_are_refused(tmp_path: Path, options: dict):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("a/w", dtype="f4", **options)
    with pytest.raises(WeightFileError, match=r"w\.h5: a/w of shape .* and the file holds 0"):
        open_weights(tmp_path / "w.h5")


def test_links_in_a_circle_end(tmp_path: Path):
    path = write(tmp_path / "w.h5", {"a/w": KERNEL})
    with h5py.File(path, "a") as file:
        file["a/again"] = file["/"]
        file["b"] = h5py.SoftLink("/b")
        file["c"] = h5py.SoftLink("/a")
    assert list(open_weights(path)) == ["a/w"]


def test_names_that_are_no_text_are_named(tmp_path: Path):
    path = write(tmp_path / "w.h5", {"layer_a/weight_b": KERNEL})
    path.write_bytes(path.read_bytes().replace(b"weight_b", b"weight_\xff"))
    with pytest.raises(WeightFileError, match=r"w\.h5 is cut off or damaged.*no text in UTF-8"):
        open_weights(path)
