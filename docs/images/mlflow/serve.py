"""MLflow's own scorer, as SageMaker hosts it. The lines with MARKS give the lab its phases."""

import time

MARKS = {"interpreter": time.time_ns()}

import json
import os
from pathlib import Path

import mlflow.pyfunc
import uvicorn
from mlflow.pyfunc import scoring_server
from starlette.responses import Response
from starlette.routing import Route

MARKS["imports"] = time.time_ns()
model = mlflow.pyfunc.load_model("/opt/ml/model")
app = scoring_server.init(model)
MARKS["model_loaded"] = time.time_ns()

EXAMPLE = Path("/opt/ml/model/serving_input_example.json")  # there if it was saved with one
if EXAMPLE.exists():  # so that the first request finds everything warm
    schema = model.metadata.get_input_schema()
    scoring_server.invocations(EXAMPLE.read_bytes(), "application/json", model, schema)
MARKS["warmed_up"] = time.time_ns()
TICKS = int(Path("/proc/1/stat").read_text().split()[21])  # when the kernel started process 1
MARKS["process"] = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + TICKS * 10_000_000
print(json.dumps({"lab_startup": {"schema": 1, "marks": MARKS}}), flush=True)

# MLflow's own answer has a line feed in it; SageMaker's contract says empty.
app.router.routes.insert(0, Route("/ping", lambda _: Response()))

uvicorn.run(
    app,
    host="0.0.0.0",
    port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
    access_log=False,  # SageMaker pings every 5 s
    timeout_keep_alive=75,  # it is the client that closes, never the server just as it sends
    timeout_graceful_shutdown=25,  # after SIGTERM; at 30 s comes SIGKILL
)
