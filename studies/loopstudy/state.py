"""A study under way: where it works, and what it has found so far, step by step.

Owns the folder `steps`: a step that is done is not done again, whenever the study was killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermaloop.core.bundle import Bundle, open_bundle
from dermaloop.core.files import replacing
from dermaloop.evaluation.rows import Rows
from dermaloop.refine.plan import ReadPlan
from loopstudy import models
from loopstudy.cohort import Cohort
from loopstudy.size import Size


@dataclass
class Study:
    """A study under way.

    Attributes:
        work: Its folder.
        weights: Folder of the ImageNet weights.
        size: How large it is.
        cohort: Who is in which part.
        plan: By which turns are judged.
        found: What the steps have found, by their names.
    """

    work: Path
    weights: Path
    size: Size
    cohort: Cohort
    plan: ReadPlan
    found: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, do: Callable[[], Any]) -> None:
        """A step of the result: done now unless it was before."""
        self.found[name] = self.kept(name, do)

    def kept(self, name: str, do: Callable[[], Any]) -> Any:
        """What a step or a part of one found, done now unless it was before."""
        path = self._steps / f"{name}.json"
        if not path.is_file():
            begun = time.monotonic()
            content = {"found": do(), "seconds": round(time.monotonic() - begun, 1)}
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
            print(f"{time.strftime('%H:%M:%S')}  {name}: {content['seconds']} s", flush=True)
        return json.loads(path.read_text(encoding="utf-8"))["found"]

    def seconds(self) -> dict[str, float]:
        """How long each step and part took; of one that was killed, what it took when it went on."""
        steps = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in self._steps.glob("*.json")}
        return {name: step["seconds"] for name, step in sorted(steps.items())}

    @property
    def _steps(self) -> Path:
        return self.work / "steps"

    def rows(self, bundle: Bundle, held_out: str) -> Rows:
        """What a bundle says of the frozen set, or of the other source's pictures held out."""
        part = {"frozen": self.cohort.frozen, "foreign": self.cohort.foreign_test}[held_out]
        return models.measured(bundle, part, self.work / "measured" / f"{bundle.identity}-{held_out}.npz")

    def figures(self, bundle: Bundle, held_out: str = "frozen") -> dict[str, Any]:
        """A bundle's figures."""
        return models.figures(self.rows(bundle, held_out), self.size.resamples)

    def difference(self, first: Bundle, second: Bundle, held_out: str = "frozen") -> dict[str, Any]:
        """The second bundle against the first."""
        return models.difference(self.rows(first, held_out), self.rows(second, held_out), self.size.resamples)

    @property
    def first(self) -> Bundle:
        """The first champion."""
        return open_bundle(self.work / "first" / "model.dermaloop")

    def turn_folder(self, month: int) -> Path:
        """A month's turn."""
        return self.work / "refine" / "turns" / f"{month:04d}"
