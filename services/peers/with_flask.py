"""Plain Flask: the model is loaded on import."""

from flask import Flask, request

from .model import predict

app = Flask(__name__)


@app.get("/ping")
def ping() -> dict[str, str]:
    """The model is there."""
    return {}


@app.post("/invocations")
def invocations() -> dict[str, object]:
    """A picture's grade."""
    return predict(request.get_data())
