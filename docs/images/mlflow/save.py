"""A model to try the image with, and how it is saved in the folder that is named.

docker run --rm -v $PWD:/work --entrypoint python3 mine /work/save.py /work/model
"""

import sys

import mlflow
import numpy as np


class Linear(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return np.asarray(model_input) @ [0.5, -0.25, 0.125, 2.0] + 1.0


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[1],
        python_model=__file__,  # as code: a pickle is bound to the Python that wrote it
        input_example=np.array([[1.0, 2.0, 3.0, 4.0]]),  # what the server warms up with
        pip_requirements=[],  # the image has them
    )
else:
    mlflow.models.set_model(Linear())
