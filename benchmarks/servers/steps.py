"""Prints how many seconds the endpoint's own steps take with the batch in the file that is named."""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from flight_delay.serving.log import Entry, Group, SqliteLog, now
from flight_delay.serving.predictor import Predictor
from flight_delay.serving.schema import NOT_LOGGED, BatchRequest
from flight_delay.serving.service import new_id
from flight_delay.serving.settings import KEEP

STEPS = (
    "reading and validating",
    "encoding and predicting",
    "rows for the log: ids, inputs as JSON",
    "writing them, and the latencies before, to disk",
)

body = Path(sys.argv[1]).read_bytes()
predictor = Predictor(Path("artifacts/champion"))
rounds, latencies = [], []
with tempfile.TemporaryDirectory() as folder:
    log = SqliteLog(Path(folder) / "predictions.sqlite", KEEP)
    for _ in range(50):
        clock = [perf_counter()]
        rows = BatchRequest.model_validate_json(body).rows
        clock.append(perf_counter())
        probabilities = predictor.predict([vars(row) for row in rows]).tolist()
        clock.append(perf_counter())
        inputs = [row.model_dump_json(exclude=NOT_LOGGED) for row in rows]
        rest = (False, predictor.threshold, predictor.version)
        time = now()
        entries = [
            Entry(new_id(), time, time, row, probability, *rest)
            for row, probability in zip(inputs, probabilities, strict=True)
        ]
        clock.append(perf_counter())
        log.write(Group(entries=entries, latencies=latencies))
        clock.append(perf_counter())
        latencies = [(entry.request_id, 1.0) for entry in entries]
        rounds.append(clock)
print(json.dumps({name: median(clock[i + 1] - clock[i] for clock in rounds) for i, name in enumerate(STEPS)}))
