"""What was gathered, in numbers: exclusions by rule, what may train, and who was confirmed at all.

Owns the counts, the JSON and the page. Verification bias is said first: who gets a biopsy is not random, so confirmed
cases are not a sample of all cases, and a sensitivity measured on them flatters.
Source: Begg & Greenes 1983, doi:10.2307/2530820.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from scipy import stats

from dermaloop.cases.feedback import FeedbackCase
from dermaloop.core.files import replacing
from dermaloop.core.manifest import Confirmation, Manifest
from dermaloop.core.prediction import Decision, Status
from dermaloop.core.taxonomy import ENTRIES
from dermaloop.refine.eligibility import RULES, TABLE

if TYPE_CHECKING:
    from dermaloop.refine.gather import Row

DISCLAIMER = "Decision support for research use. Not a medical device."
DECISIONS: dict[str, str] = {
    "refer": "The model said: refer",
    "no referral": "The model said: no referral",
    "declined": "The model declined",
    "none": "The model was not asked",
}


def decision_of(case: FeedbackCase) -> str:
    """What the model said of a case before anybody knew: a key of `DECISIONS`; the gravest over its pictures."""
    before = min((entry.made_at for entry in case.findings), default=None)
    found = set()
    for image in case.images:
        known = [answer for answer in image.answers if before is None or answer.made_at <= before]
        if known:
            last = known[-1]
            found.add("declined" if last.status is not Status.ASSESSED else _DECIDED.get(last.decision, "declined"))
    return next((word for word in ("refer", "declined", "no referral") if word in found), "none")


_DECIDED = {Decision.REFER: "refer", Decision.NO_REFERRAL: "no referral"}


def summarise(cases: Sequence[FeedbackCase], rows: Sequence[Row], manifest: Manifest) -> dict[str, Any]:
    """Every count of an export, as `feedback.json` holds it."""
    reasons = Counter(row.reason for row in rows)
    usable = [row for row in rows if not row.reason]
    return {
        "kind": "dermaloop feedback",
        "disclaimer": DISCLAIMER,
        "cases": len(cases),
        "pictures": len(rows),
        "usable": {
            "pictures": len(usable),
            "lesions": len({row.case.lesion_id for row in usable}),
            "patients": len({row.case.patient_id for row in usable}),
        },
        "excluded": {word: reasons[word] for word in RULES if reasons[word]},
        "verification": _verification(cases),
        "by_diagnosis": _table(row.finding.diagnosis for row in usable if row.finding),
        "by_confirmation": _table(row.finding.confirmation for row in usable if row.finding),
        "by_split": _table(manifest.column("split")),
        "manifest_sha256": manifest.identity(),
    }


def _table(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(str(word) for word in words).items()))


def _verification(cases: Sequence[FeedbackCase]) -> dict[str, dict[str, Any]]:
    """Cases, and those confirmed at all and by tissue, by what the model said; shares with exact intervals."""
    found = {}
    for word in DECISIONS:
        own = [case for case in cases if decision_of(case) == word]
        confirmed = sum(bool(case.findings) for case in own)
        tissue = sum(any(entry.confirmation is Confirmation.HISTOPATHOLOGY for entry in case.findings) for case in own)
        found[word] = {
            "cases": len(own),
            "confirmed": confirmed,
            "by_histopathology": tissue,
            "share_confirmed": _share(confirmed, len(own)),
            "share_by_histopathology": _share(tissue, len(own)),
        }
    return found


def _share(part: int, whole: int) -> dict[str, float | None]:
    """A share with its exact binomial interval (Clopper & Pearson 1934)."""
    if whole == 0:
        return {"value": None, "low": None, "high": None}
    ends = stats.binomtest(part, whole).proportion_ci(method="exact")
    return {"value": round(part / whole, 4), "low": round(float(ends.low), 4), "high": round(float(ends.high), 4)}


def write_json(path: Path, content: Any) -> None:
    """Writes JSON under a temporary name first."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def environment() -> Environment:
    """The templates of this package."""
    made = Environment(
        loader=PackageLoader("dermaloop.refine", "templates"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["share"] = _share_text
    return made


def _share_text(share: Mapping[str, float | None]) -> str:
    value, low, high = share["value"], share["low"], share["high"]
    if value is None or low is None or high is None:
        return "\N{EN DASH}"
    return f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def page(summary: Mapping[str, Any]) -> str:
    """The counts as one self-contained HTML page."""
    names = {str(code): entry.name for code, entry in ENTRIES.items()}
    return (
        environment()
        .get_template("feedback.html")
        .render(found=summary, rules=RULES, decisions=DECISIONS, table=TABLE, names=names)
    )
