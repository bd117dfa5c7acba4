"""How soon the watch finds a change, and how often it finds one that is not there.

    python benchmarks/watching.py DATA --out docs/watching.json
    python benchmarks/watching.py DATA --cache pools.pickle --streams 20 --years 200 --visits 1000

Assesses real pictures once with the bundle that ships, then draws visits from them again and again. Nothing is tuned on
the figures: limits are the defaults. With a cache the pictures are assessed only once; it is read back with pickle, so
give it no file that you did not write.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from dermaloop.core.bundle import Bundle, open_bundle  # noqa: E402
from dermaloop.inference.classifier import Classifier  # noqa: E402
from dermaloop.inference.default import default_bundle_path  # noqa: E402
from dermaloop.monitoring.findings import State  # noqa: E402
from dermaloop.monitoring.measures import Limits  # noqa: E402
from support import streams  # noqa: E402 - the simulation is shared with the tests

BEFORE, AFTER = 400, 500
PREVALENCE = 0.2
_MOSTLY = 0.5
"""A measure that finds a change in fewer streams is not told alone."""
Draw = Callable[[np.random.Generator, dict[str, streams.Pool]], streams.Pool]


def pools(folder: Path, classifier: Classifier) -> dict[str, streams.Pool]:
    """Every pool, assessed."""
    bundle = classifier.bundle
    usual = streams.unseen(folder, bundle, 700)
    some = usual[:150]
    return {
        "usual": streams.pool(classifier, usual),
        "cast": streams.pool(classifier, some, streams.cast(1.10, 0.88)),
        "slight cast": streams.pool(classifier, some, streams.cast(1.04, 0.95)),
        "blur": streams.pool(classifier, some, streams.blurred(1.5)),
        "slight blur": streams.pool(classifier, some, streams.blurred(0.7)),
        "phone": streams.pool(classifier, streams.phones(folder, bundle, 150), image_type="close-up"),
    }


def mixed(name: str, share: float) -> Draw:
    """A share of the visits comes from another pool; the share of malignant lesions stays what it was."""

    def draw(rng: np.random.Generator, found: dict[str, streams.Pool]) -> streams.Pool:
        own = streams.drawn(rng, found["usual"], AFTER, PREVALENCE)
        other = streams.drawn(rng, found[name], AFTER, PREVALENCE)
        rows = np.arange(AFTER) + AFTER * (rng.random(AFTER) < share)
        return streams.together([own, other]).take(rows)

    return draw


def prevalence(share: float) -> Draw:
    """Another share of malignant lesions."""
    return lambda rng, found: streams.drawn(rng, found["usual"], AFTER, share)


CHANGES: dict[str, Draw] = {
    "colour cast: red +10 %, blue −12 %": mixed("cast", 1.0),  # noqa: RUF001
    "colour cast: red +4 %, blue −5 %": mixed("slight cast", 1.0),  # noqa: RUF001
    "blurred lens: 1.5 px of 256": mixed("blur", 1.0),
    "blurred lens: 0.7 px of 256": mixed("slight blur", 1.0),
    "smartphone photos in place of dermoscopy": mixed("phone", 1.0),
    "smartphone photos, one visit in five": mixed("phone", 0.2),
    "malignant lesions 20 % to 40 %": prevalence(0.4),
    "malignant lesions 20 % to 60 %": prevalence(0.6),
}


def alarms(report: Any, at: np.ndarray) -> dict[str, int]:
    """The visit of the alarm by measure."""
    return {
        one.name: int(np.searchsorted(at, one.found))
        for one in report.findings
        if one.state is State.ALARM and one.found is not None
    }


def middle(waited: list[float]) -> dict[str, int | None]:
    """Median and ninth decile of delays; None where they are not within the stream."""
    low, high = np.quantile(waited, (0.5, 0.9), method="higher")
    return {"median": None if np.isinf(low) else int(low), "ninety": None if np.isinf(high) else int(high)}


def delays(found: dict[str, streams.Pool], bundle: Bundle, draw: Draw, count: int) -> dict[str, Any]:
    """Visits from a change to the first alarm of any measure, and to that of each measure alone."""
    waited: list[float] = []
    alone: dict[str, list[float]] = {}
    first: Counter[str] = Counter()
    early = 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        before = streams.drawn(rng, found["usual"], BEFORE, PREVALENCE)
        visits = streams.together([before, draw(rng, found)])
        report = streams.looked(visits, bundle, Limits(), seed=seed)
        at = streams.times(len(visits))
        found_at = alarms(report, at)
        for name, visit in found_at.items():
            alone.setdefault(name, [np.inf] * count)[seed] = visit - BEFORE + 1
        visit, name = min(((visit, name) for name, visit in found_at.items()), default=(np.inf, ""))
        early += visit < BEFORE
        waited.append(visit - BEFORE + 1)
        first.update([name] if name else [])
    return {
        "streams": count,
        "found": int(np.isfinite(waited).sum()),
        "early": early,
        **middle(waited),
        "first": dict(first.most_common(3)),
        "alone": {name: middle(each) for name, each in alone.items() if np.isfinite(each).mean() >= _MOSTLY},
    }


def unchanged(found: dict[str, streams.Pool], bundle: Bundle, years: int, visits: int) -> dict[str, Any]:
    """Years without a change: how many had an alarm."""
    alarms: Counter[str] = Counter()
    with_alarm = 0
    for year in range(years):
        rng = np.random.default_rng(10_000 + year)
        report = streams.looked(
            streams.drawn(rng, found["usual"], visits, PREVALENCE),
            bundle,
            Limits(),
            seed=20_000 + year,
            a_year=visits,
        )
        raised = [one.name for one in report.findings if one.state in (State.ALARM, State.SLIGHT)]
        alarms.update(raised)
        with_alarm += bool(raised)
    return {"years": years, "visits": visits, "with_alarm": with_alarm, "by_measure": dict(alarms)}


def main() -> None:
    """Runs everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the real images")
    parser.add_argument("--cache", type=Path, help="where assessed pictures are kept between runs")
    parser.add_argument("--streams", type=int, default=40)
    parser.add_argument("--years", type=int, default=100)
    parser.add_argument("--visits", type=int, default=streams.VISITS_A_YEAR, help="in a year without a change")
    parser.add_argument("--out", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    bundle = open_bundle(default_bundle_path())
    if arguments.cache and arguments.cache.exists():
        found = pickle.loads(arguments.cache.read_bytes())
    else:
        found = pools(arguments.data, Classifier(bundle, threads=1))
        if arguments.cache:
            arguments.cache.write_bytes(pickle.dumps(found))
    began = time.process_time()
    result: dict[str, Any] = {"bundle": bundle.identity, "before": BEFORE, "after": AFTER, "changes": {}}
    result |= {"prevalence": PREVALENCE, "visits_a_year": streams.VISITS_A_YEAR, "pictures": len(found["usual"])}
    for name, draw in CHANGES.items():
        result["changes"][name] = delays(found, bundle, draw, arguments.streams)
        print(name, result["changes"][name], flush=True)
    result["unchanged"] = unchanged(found, bundle, arguments.years, arguments.visits)
    print(result["unchanged"], f"{time.process_time() - began:.0f} s of CPU")
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
