"""Make a model to try the image with, in the folder that is named.

docker run --rm -v $PWD:/work --entrypoint python3 mine /work/save.py /work/model
"""

import sys
from pathlib import Path

import torch

folder = Path(sys.argv[1])
folder.mkdir(parents=True)
weights = {"weight": torch.tensor([[0.5, -0.25, 0.125, 2.0]]), "bias": torch.tensor([1.0])}
torch.save(weights, folder / "model.pt")
