"""Prints how many seconds the endpoint's own steps take with the batch in the file that is named."""

import json
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from flight_delay.serving.predictor import Predictor
from flight_delay.serving.schema import NOT_LOGGED, BatchRequest

STEPS = ("reading and validating", "encoding and predicting", "the inputs as JSON, for the log")

body = Path(sys.argv[1]).read_bytes()
predictor = Predictor(Path("artifacts/champion"))
rounds = []
for _ in range(50):
    clock = [perf_counter()]
    rows = BatchRequest.model_validate_json(body).rows
    clock.append(perf_counter())
    predictor.predict([vars(row) for row in rows])
    clock.append(perf_counter())
    inputs = [row.model_dump_json(exclude=NOT_LOGGED) for row in rows]
    clock.append(perf_counter())
    rounds.append(clock)
print(json.dumps({name: median(clock[i + 1] - clock[i] for clock in rounds) for i, name in enumerate(STEPS)}))
