"""Plain FastAPI: the model is loaded on import, predictions run in Starlette's own threads."""

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from .model import predict

app = FastAPI()


@app.get("/ping")
def ping() -> dict[str, str]:
    """The model is there."""
    return {}


@app.post("/invocations")
async def invocations(request: Request) -> dict[str, object]:
    """A picture's grade."""
    return await run_in_threadpool(predict, await request.body())
