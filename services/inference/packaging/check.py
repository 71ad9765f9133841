"""Run at the end of a build: see that all which the service imports comes in.

    python check.py [FORBIDDEN ...]

A library, module or format that was left out fails the build here, not a customer's endpoint.
Modules named FORBIDDEN must not be there at all. Prints nothing when all is well.
"""

import ctypes
import importlib
import io
import os
import sys
from importlib.util import find_spec

from PIL import Image

from app.metrics import Metrics
from app.tasks.image_classification import ImageClassification, light

BACKENDS = {"onnx": "onnx_numpy", "onnx-capi": "onnx_capi", "tensorflow": "tensorflow"}
HTTP = {"fastapi": ("workers", "server"), "slim": ("slim", "slim_server")}


def main(forbidden: list[str]) -> None:
    """Raise whatever is wrong."""
    modules = ["serve", "startup", "predictor", "metrics", "tasks.tensors"]
    modules += HTTP[os.environ["LAB_HTTP"]]
    if os.environ.get("LAB_NGINX", "0") not in ("", "0"):
        modules.append("nginx")
    modules.append(f"backends.{BACKENDS[os.environ['LAB_BACKEND']]}")
    for name in modules:
        importlib.import_module(f"app.{name}")
    read_pictures()
    write_metrics()
    load_library()
    for name in forbidden:
        if find_spec(name) is not None:
            sys.exit(f"{name} is in the image and should not be.")


def read_pictures() -> None:
    """JPEG and PNG in the modes that cameras and tools write, resized as the service does it."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
        for kind in ("JPEG", "PNG"):
            file = io.BytesIO()
            try:
                Image.new(mode, (64, 48)).save(file, kind)
            except OSError:  # a mode that this format does not know
                continue
            with Image.open(io.BytesIO(file.getvalue())) as image:
                image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR).tobytes()


def write_metrics() -> None:
    """prometheus-client is imported late: see that it can be."""
    metrics = Metrics(sys.exit)
    reference = {"schema": 1, "features": {"grade": {"edges": [1], "share": [0.5, 0.5]}}}
    metrics.describe(ImageClassification.features, reference)
    noted = {feature.name: 0.0 for feature in ImageClassification.features} | {"grade": 0}
    noted["brightness"], noted["contrast"] = light(bytes(3 * 224 * 224), 224, 224)
    metrics.observe(status=200, request_s=0.1, prediction_s=0.1, noted=[noted])
    _, body = metrics.page()
    if b'lab_inference_drift_bin_total{bin="0",feature="grade"} 1.0' not in body:
        sys.exit("The metrics page is not what was observed.")


def load_library() -> None:
    """The C library that is used without its Python package."""
    library = os.environ.get("LAB_ORT_LIBRARY")
    if library:
        ctypes.CDLL(library, mode=os.RTLD_NOW).OrtGetApiBase()


if __name__ == "__main__":
    main(sys.argv[1:])
