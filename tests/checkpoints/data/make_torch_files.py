"""Writes the small files of torch that the tests read; needs torch, which the tests do not.

python tests/checkpoints/data/make_torch_files.py
"""

import argparse
from collections import OrderedDict
from pathlib import Path

import torch

FOLDER = Path(__file__).parent


def tensors():
    grid = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    return OrderedDict(
        grid=grid,
        transposed=grid.permute(2, 0, 1),
        middle=grid[:, 1, ::2],
        scalar=torch.tensor(3.5),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.tensor([1.0, -2.0])),
        expanded=torch.tensor([7.0]).expand(5),
        float64=torch.tensor([1 / 3, -0.0], dtype=torch.float64),
        float16=torch.tensor([1 / 3, 65504.0], dtype=torch.float16),
        bfloat16=torch.tensor([1 / 3, 3e38], dtype=torch.bfloat16),
        int64=torch.tensor([-(2**63), 2**63 - 1]),
        int32=torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        int16=torch.tensor([-(2**15), 2**15 - 1], dtype=torch.int16),
        int8=torch.tensor([-128, 127], dtype=torch.int8),
        uint8=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
    )


def training_checkpoint():
    """As a training program keeps it: the weights are one entry of many, and "module." is before their names."""
    model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.fill_(number + 1)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "args": argparse.Namespace(lr=0.1, output=Path("runs"), device=torch.device("cpu")),
        "epoch": 3,
    }


if __name__ == "__main__":
    torch.save(tensors(), FOLDER / "tensors_zip.pth")
    torch.save(tensors(), FOLDER / "tensors_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"uint16": torch.tensor([0, 65535], dtype=torch.uint16)}, FOLDER / "untyped_zip.pth")
    torch.save(training_checkpoint(), FOLDER / "training_zip.pth")
