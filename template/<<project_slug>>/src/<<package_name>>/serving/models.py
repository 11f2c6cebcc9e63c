"""The models in service: a champion, and for a while a challenger that answers a share of the requests.

Whoever promotes a model, drops it or rolls back exchanges folders (folders.py). Every process that serves looks at
them once a second, loads what is new beside what it has, and switches between two groups of requests. So nothing is
restarted, no request is lost, and nobody has to reach every worker of every container.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from .. import problem
from ..errors import ProjectError
from .folders import CHALLENGER, folder_to_serve
from .metrics import Metrics
from .predictor import Predictor

CHECK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Models:
    """The champion in a folder, and the challenger in the one beside it, which gets a `share` (0 to 1) of requests.

    Raises ProjectError if there is no champion that can be loaded.
    """

    def __init__(self, folder: Path, share: float, metrics: Metrics) -> None:
        self.share = share
        self._folder = folder
        self._metrics = metrics
        self._seen = self._stamps()
        self.champion = Predictor(folder_to_serve(folder))
        self.challenger = self._load_challenger()
        self._show(1)

    def predict(self, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[tuple[float, Predictor]]:
        """Return the probability of each row, and which model gave it: the same one to every row of a key."""
        drawn = [place for place, key in enumerate(keys) if self._is_drawn(key)] if self.challenger else []
        answers = self._challenge(rows, drawn) if drawn else {}
        if not answers:
            return [(probability, self.champion) for probability in self.champion.predict(rows).tolist()]
        if others := [place for place in range(len(rows)) if place not in answers]:
            probabilities = self.champion.predict([rows[place] for place in others]).tolist()
            answers |= {place: (p, self.champion) for place, p in zip(others, probabilities, strict=True)}
        return [answers[place] for place in range(len(rows))]

    async def keep_current(self) -> None:
        """Load what changes in the folders, again and again, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Load what has changed since the last look. What cannot be loaded is left: the model before it goes on."""
        found = self._stamps()
        if found == self._seen:
            return
        champion, failure = self.champion, None
        try:
            champion = await asyncio.to_thread(Predictor, folder_to_serve(self._folder))
        except ProjectError as error:
            failure = error
        challenger = await asyncio.to_thread(self._load_challenger)
        if self._stamps() != found:
            return  # exchanged while it was read: the next look sees it whole
        self._seen = found
        if failure:
            logger.error("Model %s goes on: %s", champion.version, failure)
        before = self.versions
        self._show(0)
        self.champion, self.challenger = champion, challenger
        self._show(1)
        logger.warning("Models in service: %s (before: %s)", self.versions, before)

    @property
    def versions(self) -> dict[str, str]:
        """The version of each model in service, by its role."""
        return {role: model.version for role, model in self._by_role()}

    def _is_drawn(self, key: str) -> bool:
        """Whether the challenger answers a key. Each challenger draws anew, so that no caller is always the one."""
        assert self.challenger  # noqa: S101 — asked only where there is one
        drawn = blake2b(f"{self.challenger.version} {key}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64

    def _challenge(
        self, rows: Sequence[Mapping[str, Any]], places: Sequence[int]
    ) -> dict[int, tuple[float, Predictor]]:
        """Return the challenger's answers to the rows at some places, or none, and never more, if it fails."""
        challenger = self.challenger
        assert challenger  # noqa: S101 — asked only where there is one
        try:
            probabilities = challenger.predict([rows[place] for place in places])
            if not np.isfinite(probabilities).all():
                raise ValueError("a probability is not a number")  # noqa: TRY301 — it fails like any other
        except Exception:
            logger.exception("Challenger %s fails; the champion answers in its place", challenger.version)
            self._metrics.challenger_failures.inc()
            self._show(0)
            self.challenger = None
            self._show(1)
            return {}
        return {place: (p, challenger) for place, p in zip(places, probabilities.tolist(), strict=True)}

    def _load_challenger(self) -> Predictor | None:
        folder = self._folder.with_name(CHALLENGER)
        if not self.share or not folder.is_dir():
            return None
        try:
            return Predictor(folder)
        except ProjectError as error:
            logger.error("The champion answers alone: %s", error)  # noqa: TRY400 — the message says it all
            return None

    def _stamps(self) -> list[tuple[int, int] | None]:
        return [stamp(self._folder), stamp(self._folder.with_name(CHALLENGER))]

    def _by_role(self) -> list[tuple[str, Predictor]]:
        models = [("champion", self.champion), ("challenger", self.challenger)]
        return [(role, model) for role, model in models if model]

    def _show(self, value: int) -> None:
        for role, model in self._by_role():
            self._metrics.model.labels(model.version, model.manifest["model"], role).set(value)
            for predicted in (problem.POSITIVE, problem.NEGATIVE):
                self._metrics.predictions.labels(predicted, model.version)  # at 0, until there is one


def stamp(folder: Path) -> tuple[int, int] | None:
    """Tell apart what a folder holds at different times: folders are exchanged, and never written to."""
    try:
        manifest = (folder / "manifest.json").stat()
    except FileNotFoundError:
        return None
    return manifest.st_ino, manifest.st_ctime_ns
