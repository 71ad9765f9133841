"""A small convolutional network of PyTorch's, exported as its users do: ``torch_cnn.py FOLDER``."""

import json
import sys
from pathlib import Path

import torch

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(3)
network = torch.nn.Sequential(
    torch.nn.Conv2d(1, 4, 3),
    torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool2d(2),
    torch.nn.Flatten(),
    torch.nn.Linear(16, 3),
    torch.nn.Softmax(dim=1),
).eval()
asked = torch.rand(2, 1, 8, 8)
torch.onnx.export(
    network,
    (asked,),
    str(folder / "cnn.onnx"),
    input_names=["image"],
    output_names=["shares"],
    dynamic_axes={"image": {0: "batch"}, "shares": {0: "batch"}},
    dynamo=False,  # the other needs onnxscript, which Debian has not
)
(folder / "asked.json").write_text(json.dumps({"inputs": {"image": asked.tolist()}}))
(folder / "said.json").write_text(json.dumps(network(asked).tolist()))
