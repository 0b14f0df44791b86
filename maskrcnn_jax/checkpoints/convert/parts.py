"""The types of parts that other systems' weights belong to."""

from maskrcnn_jax.config import FPN, ModelConfig, ResNet, require


def resnet(config: ModelConfig) -> ResNet:
    """The backbone.

    Raises:
        ConfigError: it is no ResNet.
    """
    backbone = config.backbone
    remedy = "other systems' weights are those of a ResNet; convert to safetensors instead"
    require(isinstance(backbone, ResNet), "model.backbone", backbone, remedy)
    assert isinstance(backbone, ResNet)
    return backbone


def fpn(config: ModelConfig) -> FPN:
    """The neck.

    Raises:
        ConfigError: it is no feature pyramid network.
    """
    neck = config.fpn
    remedy = "other systems' weights are those of a feature pyramid network; convert to safetensors instead"
    require(isinstance(neck, FPN), "model.fpn", neck, remedy)
    assert isinstance(neck, FPN)
    return neck
