"""The model as a service of BentoML."""

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1)
class Served:
    """One worker with the model."""

    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, row: dict, /) -> list[list[float]]:
        """Return the probabilities of both classes."""
        return self.model.predict_proba(pd.DataFrame([row])).tolist()
