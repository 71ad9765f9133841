"""A linear model with its weights beside it."""

import json
import os

import numpy as np

weights = None


def handle(data, context):
    global weights
    if weights is None:
        folder = context.system_properties["model_dir"]
        with open(os.path.join(folder, "weights.json")) as file:
            weights = np.asarray(json.load(file))
    if not data:
        return None
    try:
        rows = json.loads(bytes(data[0]["body"]))["instances"]
        answer = {"predictions": (np.asarray(rows, dtype=float) @ weights).tolist()}
    except (KeyError, TypeError, ValueError) as error:
        context.set_response_status(400, "Bad Request", 0)
        answer = {"error": str(error)}
    context.set_response_content_type(0, "application/json")
    return [json.dumps(answer)]
