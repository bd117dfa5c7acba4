"""The model card: Markdown made from the bundle's specification and an evaluation's result, never by hand.

Owns what the card says. Refuses to measure. The trade-off: no sentence about how good the model is that is not a
figure of the result; without a result the card says that nothing was measured yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dermaloop.core.bundle import Spec
from dermaloop.core.taxonomy import MALIGNANT
from dermaloop.evaluation.figures import LEAST
from dermaloop.evaluation.report import diagnosis_name, environment
from dermaloop.evaluation.subgroups import UNKNOWN

DISCLAIMER = "Decision support for research use. Not a medical device."
SOURCES: dict[str, tuple[str, str]] = {
    "ham10000": ("HAM10000 (Tschandl et al. 2018, doi:10.7910/DVN/DBW86T), dermoscopic", "CC BY-NC 4.0"),
    "isic2017": ("ISIC 2017 challenge, part 3 (Codella et al. 2018, arXiv:1710.05006), dermoscopic", "CC BY-NC"),
    "isic_mixed": ("ISIC archive, other clinics, coarse labels, dermoscopic", "CC BY-NC, research only"),
    "pad_ufes_20": ("PAD-UFES-20 (Pacheco et al. 2020, doi:10.17632/zr7vgbcyr2.1), smartphone close-ups", "CC BY 4.0"),
}
"""What is known of datasets by the name a source usually gets; others are named as they are."""
_WORST = 5
_IN_RECIPE_ONLY = ("recipe.augment.", "recipe.package.")
"""Settings that the summary leaves to the recipe itself."""


def render(spec: Spec, result: Mapping[str, Any] | None = None, *, history: Sequence[Mapping[str, Any]] = ()) -> str:
    """The card.

    Args:
        spec: Of the bundle.
        result: Of an evaluation, schema 1; None before there is one.
        history: Entries of the bundle's history; openings of the test split are listed.

    Returns:
        Markdown.
    """
    opened = [entry for entry in history if entry.get("event") == "test split opened"]
    return (
        environment()
        .get_template("card.md")
        .render(
            spec=spec.model_dump(mode="json"),
            classes=[(str(code), diagnosis_name(str(code))) for code in spec.classes],
            malignant=_malignant(spec),
            sources=[(name, count, *SOURCES.get(name, (name, "not stated"))) for name, count in spec.sources.items()],
            training=[row for row in _flat(spec.training) if not row[0].startswith(_IN_RECIPE_ONLY)],
            result=result,
            opened=opened,
            confusions=_confusions(result),
            weakest=_weakest(result),
            never=_never_tested(spec, result),
            disclaimer=DISCLAIMER,
            least=LEAST,
        )
        .rstrip()
        + "\n"
    )


def _malignant(spec: Spec) -> str:
    return ", ".join(str(code) for code in spec.classes if code in MALIGNANT)


def _flat(training: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Scalars of the recipe and the run as rows; what is nested gets a dotted name."""
    rows: list[tuple[str, str]] = []
    for name, value in training.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            if all(not isinstance(entry, Mapping | list) for entry in value):
                rows.append((f"{prefix}{name}", ", ".join(_scalar(entry) for entry in value)))
        else:
            rows.append((f"{prefix}{name}", _scalar(value)))
    return rows


def _scalar(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _confusions(result: Mapping[str, Any] | None) -> list[tuple[str, str, dict[str, Any]]]:
    """The commonest confusions of each section: (split, source, entry)."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for part in result["sections"] if result else ():
        worst = part["confusion"].get("top_confusions", [])[:_WORST]
        found += [(part["split"], part["source"] or "all sources", entry) for entry in worst]
    return found


def _weakest(result: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The subgroups with the lowest AUC for malignancy, and with the lowest sensitivity, that are big enough to say."""
    found = []
    for part in result["sections"] if result else ():
        for metric in ("malignant_auc", "sensitivity"):
            measured = [
                {"section": part, "metric": metric, "group": group, "figure": group["figures"][metric]}
                for group in part["subgroups"]
                if group["figures"].get(metric, {}).get("value") is not None and group["value"] != UNKNOWN
            ]
            found += sorted(measured, key=_value)[:2]
    return found


def _value(entry: Mapping[str, Any]) -> float:
    return float(entry["figure"]["value"])


def _never_tested(spec: Spec, result: Mapping[str, Any] | None) -> list[str]:
    """Plain sentences on what no figure covers, read off the counts."""
    if result is None:
        return ["It has not been evaluated: no figure stands behind any use."]
    sentences = []
    groups = [group for part in result["sections"] for group in part["subgroups"]]
    for title, attribute, value in (
        ("skin type V-VI", "skin_type", "V-VI"),
        ("skin type III-IV", "skin_type", "III-IV"),
        ("people under 30", "age", "under 30"),
        ("the palms and soles", "site", "palms/soles"),
        ("mucosa and genitals", "site", "oral/genital"),
    ):
        of = [group for group in groups if group["attribute"] == attribute and group["value"] == value]
        malignant = max((group["counts"]["malignant"] for group in of), default=0)
        if malignant < LEAST:
            many = max((group["counts"]["rows"] for group in of), default=0)
            of_them = f", {malignant or 'none'} malignant" if many else ""
            sentences.append(f"{title[0].upper()}{title[1:]}: {_pictures(many)}{of_them}.")
    diagnoses = [group for group in groups if group["attribute"] == "diagnosis"]
    for code in spec.classes:
        many = max((group["counts"]["rows"] for group in diagnoses if group["value"] == code), default=0)
        if many < LEAST:
            sentences.append(f"{diagnosis_name(str(code))}: {_pictures(many)}.")
    if not any(part["split"] == "external" for part in result["sections"]):
        sentences.append(
            "No source was held out whole in this evaluation." if not result["leave_one_source_out"] else ""
        )
    sentences.append(
        "Other diagnoses than those listed, several lesions in one picture, and use by patients themselves."
    )
    sentences.append("Prospectively, or in the care of patients.")
    return [sentence for sentence in sentences if sentence]


def _pictures(count: int) -> str:
    return f"{count or 'no'} picture{'' if count == 1 else 's'}"
