import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

x, y = load_iris(return_X_y=True, as_frame=True)
mlflow.sklearn.save_model(
    LogisticRegression(max_iter=500).fit(x, y), "model", input_example=x.head(2)
)
