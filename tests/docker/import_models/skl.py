"""A classifier of scikit-learn's and a regressor, exported as its users do: ``skl.py FOLDER``."""

import json
import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folder = Path(sys.argv[1])
drawn = np.random.default_rng(7)
inputs = drawn.normal(size=(200, 4)).astype(np.float32)
classes = (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64) + (inputs[:, 2] > 1)
asked = inputs[:3]

classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, classes)
mapped = to_onnx(classifier, asked)
plain = to_onnx(classifier, asked, options={"zipmap": False})
regressor = GradientBoostingRegressor(n_estimators=20).fit(inputs, inputs @ [1, 2, 3, 4])
trees = to_onnx(regressor, asked)
for name, graph in (("mapped", mapped), ("plain", plain), ("trees", trees)):
    (folder / f"{name}.onnx").write_bytes(graph.SerializeToString())
np.save(folder / "asked.npy", asked)
said = {
    "plain": classifier.predict_proba(asked).tolist(),
    "trees": regressor.predict(asked).tolist(),
}
(folder / "said.json").write_text(json.dumps(said))
