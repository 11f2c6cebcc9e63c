"""The model behind LitServe."""

import sys

import joblib
import litserve
import pandas as pd


class Served(litserve.LitAPI):
    """One worker with the model."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - its name is given
        """Load the model."""
        self.model = joblib.load("model.joblib")

    def predict(self, row: dict) -> list[list[float]]:
        """Return the probabilities of both classes."""
        return self.model.predict_proba(pd.DataFrame([row])).tolist()


if __name__ == "__main__":
    server = litserve.LitServer(Served(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error")
