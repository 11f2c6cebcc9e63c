"""The limit: the project's request and answer, and nothing in between."""

import sys

import uvicorn
from fastapi import FastAPI
from flight_delay.serving.schema import BatchPrediction, BatchRequest, Prediction, PredictionRequest

ANSWER = {
    "request_id": "0" * 32,
    "decision": "leave bookings as they are",
    "predicted": "on time",
    "probability": 0.123456789,
    "threshold": 0.2,
    "model_version": "0123456789ab",
}
app = FastAPI()


@app.post("/predict")
async def predict(_: PredictionRequest) -> Prediction:
    """Answer always the same."""
    return Prediction(**ANSWER)


@app.post("/predict/batch")
async def predict_batch(batch: BatchRequest) -> BatchPrediction:
    """Answer always the same, for every row."""
    return BatchPrediction(predictions=[Prediction(**ANSWER) for _ in batch.rows])


uvicorn.run(app, port=int(sys.argv[1]), access_log=False)
