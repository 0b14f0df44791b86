"""The table of published weights."""

from typing import NamedTuple


class PublishedWeights(NamedTuple):
    """Weights that a project publishes."""

    name: str
    """`SYSTEM/MODEL`, which `load_pretrained` takes."""
    url: str
    digest: str
    """The published first digits of its hash, `sha256:…` or `md5:…`; empty where none are published."""
    size: float | None
    """MiB; None where it is not published."""
    training: str
    """Data and schedule."""
    licence: str
    """Of the weights."""
    box_ap: float | None = None
    """On COCO val2017, percent; None for a backbone."""
    mask_ap: float | None = None
    """On COCO val2017, percent; None for a model without masks, or where it was not found."""
    source: str = ""
    """The page of these facts."""

    @property
    def file_name(self) -> str:
        """Of the downloaded file."""
        return self.url.rpartition("/")[2]


TORCHVISION = "https://download.pytorch.org/models/"
TORCHVISION_DETECTION = "https://docs.pytorch.org/vision/stable/models.html#object-detection-instance-segmentation-and-person-keypoint-detection"
TORCHVISION_CLASSIFICATION = "https://docs.pytorch.org/vision/stable/models.html#classification"


DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2/"
DETECTRON2_ZOO = "https://github.com/facebookresearch/detectron2/blob/main/MODEL_ZOO.md"


def _torchvision(
    name: str, file: str, size: float, training: str, box_ap: float | None = None, mask_ap: float | None = None
) -> PublishedWeights:
    """Torchvision's files have the first digits of their SHA-256 in their names, as `torch.hub` documents."""
    digest = f"sha256:{file.rpartition('-')[2].partition('.')[0]}"
    source = TORCHVISION_CLASSIFICATION if box_ap is None else TORCHVISION_DETECTION
    licence = "terms of its data"  # as its README says
    return PublishedWeights(
        f"torchvision/{name}", TORCHVISION + file, digest, size, training, licence, box_ap, mask_ap, source
    )


def _detectron2(path: str, digits: str, training: str, box_ap: float, mask_ap: float | None = None) -> PublishedWeights:
    """Detectron2's files have the first digits of their MD5 in their names, as its zoo documents."""
    url, name = f"{DETECTRON2}{path}/model_final_{digits}.pkl", path.split("/")[1]
    return PublishedWeights(
        f"detectron2/{name}", url, f"md5:{digits}", None, training, "CC BY-SA 3.0", box_ap, mask_ap, DETECTRON2_ZOO
    )


def _backbone(name: str, path: str, training: str) -> PublishedWeights:
    """A backbone of Detectron2; no hash is published."""
    url, source = f"{DETECTRON2}ImageNetPretrained/{path}.pkl", f"{DETECTRON2_ZOO}#imagenet-pretrained-models"
    return PublishedWeights(f"detectron2/{name}", url, "", None, training, "CC BY-SA 3.0", source=source)


_SEGMENTATION, _DETECTION, _NEW = "COCO-InstanceSegmentation", "COCO-Detection", "new_baselines"
_ALL = (
    _torchvision(
        "maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", 177.2, "COCO, new recipe", 47.4, 41.8
    ),
    _torchvision(
        "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 169.8, "COCO, 26 epochs", 37.9, 34.6
    ),
    _torchvision(
        "fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", 167.1, "COCO, new recipe", 46.7
    ),
    _torchvision(
        "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 159.7, "COCO, 26 epochs", 37.0
    ),
    _torchvision("resnet18", "resnet18-f37072fd.pth", 44.7, "ImageNet, 90 epochs"),
    _torchvision("resnet34", "resnet34-b627a593.pth", 83.3, "ImageNet, 90 epochs"),
    _torchvision("resnet50", "resnet50-0676ba61.pth", 97.8, "ImageNet, 90 epochs"),
    _torchvision("resnet50_v2", "resnet50-11ad3fa6.pth", 97.8, "ImageNet, new recipe"),
    _torchvision("resnet101", "resnet101-63fe2227.pth", 170.5, "ImageNet, 90 epochs"),
    _torchvision("resnet101_v2", "resnet101-cd907fc2.pth", 170.5, "ImageNet, new recipe"),
    _torchvision("resnet152", "resnet152-394f9c45.pth", 230.4, "ImageNet, 90 epochs"),
    _torchvision("resnext101_32x8d", "resnext101_32x8d-8ba56ff5.pth", 339.6, "ImageNet, 100 epochs"),
    _detectron2(f"{_SEGMENTATION}/mask_rcnn_R_50_FPN_1x/137260431", "a54504", "COCO, 1x", 38.6, 35.2),
    _detectron2(f"{_SEGMENTATION}/mask_rcnn_R_50_FPN_3x/137849600", "f10217", "COCO, 3x", 41.0, 37.2),
    _detectron2(f"{_SEGMENTATION}/mask_rcnn_R_101_FPN_3x/138205316", "a3ec72", "COCO, 3x", 42.9, 38.6),
    _detectron2(f"{_SEGMENTATION}/mask_rcnn_X_101_32x8d_FPN_3x/139653917", "2d9806", "COCO, 3x", 44.3, 39.5),
    _detectron2(f"{_DETECTION}/faster_rcnn_R_50_FPN_1x/137257794", "b275ba", "COCO, 1x", 37.9),
    _detectron2(f"{_DETECTION}/faster_rcnn_R_50_FPN_3x/137849458", "280758", "COCO, 3x", 40.2),
    _detectron2(f"{_DETECTION}/faster_rcnn_R_101_FPN_3x/137851257", "f6e8b1", "COCO, 3x", 42.0),
    _detectron2(f"{_DETECTION}/faster_rcnn_X_101_32x8d_FPN_3x/139173657", "68b088", "COCO, 3x", 43.0),
    _detectron2(f"{_NEW}/mask_rcnn_R_50_FPN_100ep_LSJ/42047764", "bb69de", "COCO, LSJ, 100 epochs", 44.6, 40.3),
    _detectron2(f"{_NEW}/mask_rcnn_R_50_FPN_200ep_LSJ/42047638", "89a8d3", "COCO, LSJ, 200 epochs", 46.3, 41.7),
    _detectron2(f"{_NEW}/mask_rcnn_R_50_FPN_400ep_LSJ/42019571", "14d201", "COCO, LSJ, 400 epochs", 47.4, 42.5),
    _detectron2(f"{_NEW}/mask_rcnn_R_101_FPN_100ep_LSJ/42025812", "4f7b58", "COCO, LSJ, 100 epochs", 46.4, 41.6),
    _detectron2(f"{_NEW}/mask_rcnn_R_101_FPN_200ep_LSJ/42131867", "0bb7ae", "COCO, LSJ, 200 epochs", 48.0, 43.1),
    _detectron2(f"{_NEW}/mask_rcnn_R_101_FPN_400ep_LSJ/42073830", "f96b26", "COCO, LSJ, 400 epochs", 48.9, 43.7),
    _backbone("R-50", "MSRA/R-50", "ImageNet, MSRA"),
    _backbone("R-101", "MSRA/R-101", "ImageNet, MSRA"),
    _backbone("X-101-32x8d", "FAIR/X-101-32x8d", "ImageNet, Caffe2"),
    _backbone("R-50-torchvision", "torchvision/R-50", "ImageNet, torchvision"),
    PublishedWeights(
        "matterport/mask_rcnn_coco",
        "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5",
        "",
        245.6,  # 257,557,808 bytes
        "COCO",
        "MIT",
        box_ap=34.7,
        source="https://github.com/matterport/Mask_RCNN/releases",
    ),
)

PUBLISHED = {weights.name: weights for weights in _ALL}
"""By name."""


def best_of_coco() -> PublishedWeights:
    """The published model with the highest mask AP on COCO val2017."""
    return max(PUBLISHED.values(), key=lambda weights: weights.mask_ap or 0.0)
