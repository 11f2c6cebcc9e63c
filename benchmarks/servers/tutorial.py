"""As tutorials serve a model: FastAPI, joblib and pandas."""

import sys

import joblib
import pandas as pd
import uvicorn
from fastapi import FastAPI

app = FastAPI()
model = joblib.load("model.joblib")


@app.post("/predict")
async def predict(row: dict) -> list[list[float]]:
    """Return the probabilities of both classes."""
    return model.predict_proba(pd.DataFrame([row])).tolist()


uvicorn.run(app, port=int(sys.argv[1]), access_log=False)
