"""PyTorch behind FastAPI, as SageMaker hosts it. The lines with MARKS give the lab its phases."""

import time

MARKS = {"interpreter": time.time_ns()}

import json
import os
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool

MARKS["imports"] = time.time_ns()
FILE = Path("/opt/ml/model/model.pt")
MODEL = torch.nn.Linear(4, 1).eval()
if FILE.exists():
    MODEL.load_state_dict(torch.load(FILE, weights_only=True, mmap=True))
MARKS["model_loaded"] = time.time_ns()


def predict(body: bytes) -> list[float]:
    rows = torch.tensor(json.loads(body)["instances"], dtype=torch.float32)
    with torch.inference_mode():
        return MODEL(rows).flatten().tolist()


predict(b'{"instances": [[0, 0, 0, 0]]}')  # the first one sets up threads and kernels
MARKS["warmed_up"] = time.time_ns()
TICKS = int(Path("/proc/1/stat").read_text().split()[21])  # when the kernel started process 1
MARKS["process"] = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + TICKS * 10_000_000
print(json.dumps({"lab_startup": {"schema": 1, "marks": MARKS}}), flush=True)

app = FastAPI(openapi_url=None)


@app.get("/ping")
async def ping() -> Response:  # async: answered even while every thread predicts
    return Response()


@app.post("/invocations")
async def invocations(request: Request) -> dict[str, list[float]]:
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "application/json is what this model reads")
    try:
        return {"predictions": await run_in_threadpool(predict, await request.body())}
    except (ValueError, TypeError, LookupError, RuntimeError) as error:
        raise HTTPException(400, f"{type(error).__name__}: {error}") from error


uvicorn.run(
    app,
    host="0.0.0.0",
    port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
    access_log=False,  # SageMaker pings every 5 s
    timeout_keep_alive=75,  # it is the client that closes, never the server just as it sends
    timeout_graceful_shutdown=25,  # after SIGTERM; at 30 s comes SIGKILL
)
