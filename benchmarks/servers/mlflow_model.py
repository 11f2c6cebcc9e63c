"""Saves the model as `mlflow models serve` wants it."""

import joblib
import mlflow

mlflow.sklearn.save_model(
    joblib.load("model.joblib"),
    "model",
    pyfunc_predict_fn="predict_proba",
    pip_requirements=[],
    serialization_format="cloudpickle",
)
