"""A random forest on the irises, kept beside the program."""

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

x, y = load_iris(return_X_y=True)
joblib.dump(RandomForestClassifier(n_estimators=50, random_state=0).fit(x, y), "model.joblib")
