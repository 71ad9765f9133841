"""The model behind Flask. The lines with MARKS give the lab its phases."""

import json
import os
import time
from pathlib import Path

from flask import Flask, Response, request

MARKS = {"interpreter": int(os.environ["INTERPRETER"]), "imports": time.time_ns()}
FILE = Path("/opt/ml/model/model.json")
MODEL = json.loads(FILE.read_text()) if FILE.exists() else {"weights": [1, 1, 1, 1], "bias": 0}
MARKS["model_loaded"] = time.time_ns()


def predict(body: bytes) -> list[float]:
    rows = json.loads(body)["instances"]
    return [
        sum((weight * x for weight, x in zip(MODEL["weights"], row, strict=True)), MODEL["bias"])
        for row in rows
    ]


predict(b'{"instances": [[0, 0, 0, 0]]}')  # so that the first request finds everything warm
MARKS["warmed_up"] = time.time_ns()
TICKS = int(Path("/proc/1/stat").read_text().split()[21])  # when the kernel started process 1
MARKS["process"] = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + TICKS * 10_000_000
print(json.dumps({"lab_startup": {"schema": 1, "marks": MARKS}}), flush=True)

app = Flask(__name__)


@app.get("/ping")
def ping() -> Response:
    return Response()


@app.post("/invocations")
def invocations() -> Response | tuple[dict[str, str], int]:
    if request.mimetype != "application/json":
        return {"error": "application/json is what this model reads"}, 415
    try:
        return Response(
            json.dumps({"predictions": predict(request.get_data())}), mimetype="application/json"
        )
    except (ValueError, TypeError, LookupError) as error:
        return {"error": f"{type(error).__name__}: {error}"}, 400
