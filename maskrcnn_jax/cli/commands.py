"""The commands of `maskrcnn-jax`, which is the same as `python -m maskrcnn_jax`."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from maskrcnn_jax import __version__
from maskrcnn_jax.cli.inspect import INSPECT
from maskrcnn_jax.cli.terminal import errors_in_one_line, log_to_terminal, program
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.files.ending import require_ending
from maskrcnn_jax.files.printable import printable
from maskrcnn_jax.files.writing import require_writable, write_text

COMMANDS = tyro.extras.SubcommandApp()
"""Each command imports what it needs when it is called, so that `--help` is quick."""


@COMMANDS.command
def train() -> None:
    """Train an experiment, or resume its run."""
    from maskrcnn_jax.cli.train import main

    main()


@COMMANDS.command
def evaluate() -> None:
    """Score a checkpoint with COCO's box and mask AP."""
    from maskrcnn_jax.cli.evaluate import main

    main()


PROGRAMS = {"train": train, "evaluate": evaluate}
"""Commands that read their arguments themselves, as an experiment decides what can be set: see `train.py`."""


@COMMANDS.command
def configs(copy: str | None = None, out: Path | None = None, overwrite: bool = False) -> None:
    """List the experiments that come with the package, with their published AP, or write one to edit.

    Args:
        copy: The name of the experiment to write.
        out: The file to write; NAME.py in this folder if left out.
        overwrite: Replace a file that exists.
    """
    from maskrcnn_jax.config.shipped import read_experiment, shipped_experiments

    if copy is not None:
        file = out or Path(f"{copy}.py")
        write_text(file, read_experiment(copy), overwrite=overwrite)
        print(printable(f"wrote {file}"))
        return
    if out is not None or overwrite:
        raise ValueError("--out and --overwrite are for a copy; name the experiment: --copy NAME")
    experiments = shipped_experiments()
    width = max(len(each.name) for each in experiments)
    print(f"{'name':{width}}  box AP  mask AP")
    for each in experiments:
        print(f"{each.name:{width}}  {each.box_ap or '–':>6}  {each.mask_ap or '–':>7}  {each.summary}")


@COMMANDS.command
def zoo() -> None:
    """List published weights, which --checkpoint, --init and load_pretrained take by name and download."""
    from maskrcnn_jax.checkpoints.zoo.download import local_file, weights_folder
    from maskrcnn_jax.checkpoints.zoo.published import PUBLISHED

    width = max(map(len, PUBLISHED))
    print(f"{'name':{width}}  box AP  mask AP    MiB  on disk  training")
    for each in PUBLISHED.values():
        numbers = f"{each.box_ap or '–':>6}  {each.mask_ap or '–':>7}  {each.size or '–':>5}"
        here = "yes" if local_file(each).exists() else "no"
        print(f"{each.name:{width}}  {numbers}  {here:7}  {each.training} ({each.licence})")
    print(printable(f"downloads are kept in {weights_folder()}"))


@COMMANDS.command
def prepare(
    folder: Annotated[Path, tyro.conf.Positional],
    out: Path,
    reading: tyro.conf.OmitArgPrefixes[ReadOptions] = ReadOptions(),
    validation_share: float = 0.0,
) -> None:
    """Write annotated images as records that training reads: checks everything, then writes.

    The format is recognised by content: COCO's layout (annotations/instances_SPLIT.json and SPLIT/, images/SPLIT/ or
    images/, or the official zips), COCO's JSON elsewhere (Roboflow's SPLIT/_annotations.coco.json, Label Studio's
    result.json, LVIS, exports of CVAT, labelme and VIA), VGG Image Annotator's JSON of version 1 or 2 beside its
    images, labelme's JSON of each image, folders of masks (ID/images/ and ID/masks/*.png, or images/NAME.jpg and
    masks/NAME.png with numbered objects), Pascal VOC (Annotations/*.xml and JPEGImages/ or images/, or XML beside the
    images; masks are SegmentationObject/ or polygons in the XML).

    Args:
        folder: The data set, or one JSON file; all but COCO may be divided into train/, val/ and test/.
        out: Folder for the records. An earlier data set there is replaced once the new one is complete.
        reading: How the data set is read.
        validation_share: Share of an undivided data set that becomes its split "val", such as 0.2.
    """
    from maskrcnn_jax.data.prepare.run import prepare as write

    for line in write(folder, out, validation_share=validation_share, **vars(reading)).lines():
        print(printable(line))


@COMMANDS.command
def predict(
    inputs: Annotated[tuple[str, ...], tyro.conf.Positional],
    checkpoint: Path | None = None,
    out: Path = Path("predictions"),
    step: int | None = None,
    min_score: float | None = None,
    nms_iou: float | None = None,
    detections: int | None = None,
    batch_size: int = 8,
    tile: bool = False,
    splash: bool = False,
    semantic: bool = False,
    trust_code: bool = False,
) -> None:
    """Find the objects in images and videos: drawn images, drawn videos and COCO's results format.

    Args:
        inputs: Images, videos, folders, patterns such as "photos/**/*.jpg", or webcam (webcam:1 is the second).
        checkpoint: A run folder, a weight file of torchvision, Detectron2, Matterport or this package, or a name that
            `zoo` lists; the published model with the highest mask AP on COCO if left out.
        out: Folder for the results; must not be one of the input folders.
        step: The checkpoint of a run folder; the latest if left out.
        min_score: Objects below are left out, in place of the model's own threshold (score_threshold in its
            configuration). If left out: 0.5, or the model's own threshold where that is higher.
        nms_iou: Of two boxes of one class that overlap by more than this IoU the one with the lower score is left out;
            the model's own threshold if left out.
        detections: Objects per image (of --tile: per tile), at most; the model's own number if left out.
        batch_size: Images that are run together, at most.
        tile: Predict images that are larger than the network's input in tiles, for small objects.
        splash: Write the colour splash, too: gray where no object is.
        semantic: Write label maps, too: the class of the best object at each pixel.
        trust_code: Run the code that the checkpoint names, where parts of the network are not of this package.
    """
    from maskrcnn_jax.checkpoints.zoo.published import best_of_coco
    from maskrcnn_jax.cli.checkpoint import load_trained
    from maskrcnn_jax.prediction.choice import choose
    from maskrcnn_jax.prediction.files import OutputOptions, predict_files
    from maskrcnn_jax.prediction.inputs import find_inputs
    from maskrcnn_jax.prediction.predictor import Predictor
    from maskrcnn_jax.prediction.video import silence
    from maskrcnn_jax.training.compilation import enable_compilation_cache

    silence()
    enable_compilation_cache()
    found = find_inputs(inputs, out)
    if checkpoint is None:
        best = best_of_coco()
        checkpoint = Path(best.name)
        print(f"no --checkpoint: {best.name}, trained on {best.training}, mask AP {best.mask_ap}")
    trained = load_trained(checkpoint, step, trust_code)
    model, least = choose(trained, min_score, nms_iou=nms_iou, count=detections, tile=tile)
    predictor = Predictor(model, batch_size=batch_size)
    failures = predict_files(predictor, found, OutputOptions(out, least, tile, splash, semantic))
    if len(failures) == len(found):
        none = f"none of the {len(found)} inputs could be predicted; see the warnings above"
        raise ValueError(failures[0] if len(found) == 1 else none)
    if failures:
        raise ValueError(f"{len(failures)} of {len(found)} inputs could not be predicted, the others are in {out}")


@COMMANDS.command
def curves(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path,
    metrics: tuple[str, ...] = ("loss", "segm/AP50"),
) -> None:
    """Draw metrics of several runs over their steps, side by side.

    Args:
        runs: Run folders; they may still be running.
        out: The PNG to write.
        metrics: Which of those in metrics.jsonl, a panel for each.
    """
    from maskrcnn_jax.draw.curves import compare_curves
    from maskrcnn_jax.training.metrics import read

    compare_curves({str(run): read(run) for run in runs}, out, metrics)
    print(printable(f"wrote {out}"))


@COMMANDS.command
def convert(
    source: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    to: Literal["torchvision", "safetensors"] | None = None,
    step: int | None = None,
    overwrite: bool = False,
    trust_code: bool = False,
) -> None:
    """Write a trained model for torchvision, or as one file for exchange that `load_pretrained` opens.

    Args:
        source: A run folder, or a weight file of torchvision, Detectron2, Matterport or this package.
        out: The file to write. For torchvision a Python file that builds the model is written beside it.
        to: "torchvision" writes a state dict (.pth or .pt), "safetensors" this package's names and the configuration;
            the ending of the file decides if left out.
        step: The checkpoint of a run folder; the latest if left out.
        overwrite: Replace files that exist.
        trust_code: Run the code that the checkpoint names, where parts of the network are not of this package.
    """
    from maskrcnn_jax.checkpoints.saving import ENDINGS, save_pretrained, written_files
    from maskrcnn_jax.cli.checkpoint import load_trained

    if to is not None:
        require_ending(out, ENDINGS[to], f"a file of {to}")
    for file in written_files(out):
        require_writable(file, overwrite=overwrite)
    written = save_pretrained(load_trained(source, step, trust_code), out, overwrite=overwrite)
    print(printable(f"wrote {' and '.join(map(str, written))}"))


@COMMANDS.command
def plan(
    config: Annotated[Path, tyro.conf.Positional],
    overrides: Annotated[tuple[str, ...], tyro.conf.Positional],
    target: str,
    batch: int | None = None,
    out: Path | None = None,
) -> None:
    """Estimate memory and FLOPs on hardware that you do not have: compiles train step and prediction for it.

    Args:
        config: The experiment's Python file, or a name that `configs` lists.
        overrides: What to change in it, after two dashes: -- --model.dtype bfloat16.
        target: v5e:4x4 or v6e:2x2 (grids of chips), h100 or h100:8, cpu:8.
        batch: Images per device. Without it the largest batch that fits is searched for, which compiles several times.
        out: JSON file for every number.
    """
    # Read when JAX is imported: the compiler for GPUs logs each of its attempts.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from maskrcnn_jax.config.loading import load_config
    from maskrcnn_jax.plan.report import make_plan
    from maskrcnn_jax.plan.targets import parse
    from maskrcnn_jax.plan.text import to_json, to_text

    logging.getLogger("maskrcnn_jax.plan").setLevel(logging.INFO)
    if out is not None:
        require_writable(out)
    # Not `require_devices`: JAX's devices start in `make_plan`, as many as the target has.
    found = make_plan(load_config(config, overrides), parse(target), batch)
    print(to_text(found))
    if out is not None:
        write_text(out, json.dumps(to_json(found), indent=2) + "\n")


@COMMANDS.command
def export(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    out: Path,
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu"),
    batch: int | None = None,
    size: tuple[int, int] | None = None,
    step: int | None = None,
    overwrite: bool = False,
    trust_code: bool = False,
) -> None:
    """Write a trained model as one StableHLO program, weights inside, that runs without this code.

    Args:
        checkpoint: A run folder, or a weight file of torchvision, Detectron2, Matterport or this package.
        out: The file to write, NAME.stablehlo; its inputs and outputs are described beside it as JSON.
        platforms: Where it is to run.
        batch: Images at a time; any number if left out.
        size: Padded height and width of the images, multiples of 32; the model's first bucket by default.
        step: The checkpoint of a run folder; the latest if left out.
        overwrite: Replace files that exist.
        trust_code: Run the code that the checkpoint names, where parts of the network are not of this package.
    """
    from maskrcnn_jax.cli.checkpoint import load_trained
    from maskrcnn_jax.prediction.export import export_model, write_export, written_files

    for file in written_files(out):
        require_writable(file, overwrite=overwrite)
    model = load_trained(checkpoint, step, trust_code)
    exported = export_model(model, batch=batch, size=size, platforms=platforms)
    written = write_export(exported, model.config, out, overwrite=overwrite)
    print(printable(f"wrote {' and '.join(map(str, written))}"))


COMMANDS.command(INSPECT, name="inspect", help="Inspect every step: writes a folder of images and an HTML page.")


def main() -> None:
    """Runs the command that the arguments name; bad input ends with its message alone."""
    name = program()
    command, *arguments = sys.argv[1:] or ["--help"]
    sys.argv = [f"{name} {command}", *arguments]  # usage and help name the command as the program
    if command == "--version":
        print(f"maskrcnn-jax {__version__}")
    elif command in PROGRAMS:
        PROGRAMS[command]()
    else:
        log_to_terminal("%(levelname)s: %(message)s")
        with errors_in_one_line(ValueError, OSError):
            COMMANDS.cli(prog=name, description="Mask R-CNN. --version prints the version.", args=[command, *arguments])
