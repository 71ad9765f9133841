"""The Flask application."""

import io
import os

import flask
import joblib
import pandas as pd

app = flask.Flask(__name__)
model = joblib.load(os.path.join(os.path.dirname(__file__), "model.joblib"))


@app.route("/ping", methods=["GET"])
def ping():
    return flask.Response(status=200 if model is not None else 404)


@app.route("/invocations", methods=["POST"])
def invocations():
    if flask.request.content_type != "text/csv":
        return flask.Response("This predictor only supports CSV data\n", status=415)
    try:
        data = pd.read_csv(io.StringIO(flask.request.data.decode("utf-8")), header=None)
        probabilities = model.predict_proba(data.to_numpy())
    except ValueError as error:
        return flask.Response(f"{error}\n", status=400)
    out = io.StringIO()
    pd.DataFrame(probabilities).round(4).to_csv(out, header=False, index=False)
    return flask.Response(out.getvalue(), mimetype="text/csv")
