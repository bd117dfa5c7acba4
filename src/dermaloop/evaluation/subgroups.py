"""The same figures by age, sex, body site, skin type, source, image type, confirmation and diagnosis.

Owns the bands and the attributes. A subgroup too small to say anything says so in a sentence instead of a number: the
rule is in `figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dermaloop.evaluation.figures import Figure, counts, measure
from dermaloop.evaluation.rows import Rows

UNKNOWN = "not recorded"
AGE_BANDS: tuple[tuple[int, int, str], ...] = (
    (0, 30, "under 30"),
    (30, 45, "30-44"),
    (45, 60, "45-59"),
    (60, 75, "60-74"),
    (75, 1000, "75 and over"),
)
ATTRIBUTES: dict[str, str] = {
    "age": "Age in years",
    "sex": "Sex",
    "site": "Body site",
    "skin_type": "Skin type (Fitzpatrick)",
    "source": "Source",
    "image_type": "Image type",
    "confirmation": "How the diagnosis was confirmed",
    "diagnosis": "Diagnosis",
}
"""Attribute and its title, in the order of the report."""
GENERAL = ("malignant_auc", "melanoma_auc", "balanced_accuracy", "sensitivity", "specificity")
BY_DIAGNOSIS = ("accuracy", "sensitivity", "specificity")
"""Within one diagnosis there is nothing to rank: how many are recognised, and how many are referred or spared."""


def age_band(years: float | None) -> str:
    """The band of an age in years."""
    if years is None or np.isnan(years):
        return UNKNOWN
    return next(name for low, high, name in AGE_BANDS if low <= years < high)


def skin_type_band(skin_type: float | None) -> str:
    """Fitzpatrick I-II, III-IV or V-VI."""
    if skin_type is None or np.isnan(skin_type):
        return UNKNOWN
    return ("I-II", "III-IV", "V-VI")[(int(skin_type) - 1) // 2]


def attributes(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """The subgroup of each row, by attribute.

    Args:
        columns: Manifest columns age_years, sex, site, skin_type, source, image_type, confirmation, diagnosis, N each.
    """
    plain = ("sex", "site", "source", "image_type", "confirmation", "diagnosis")
    return {
        "age": [age_band(value) for value in columns["age_years"]],
        "skin_type": [skin_type_band(value) for value in columns["skin_type"]],
        **{name: [str(value) if value else UNKNOWN for value in columns[name]] for name in plain},
    }


def measure_subgroups(
    rows: Rows, by_attribute: Mapping[str, Sequence[str]], *, resamples: int, seed: int = 0
) -> list[dict[str, Any]]:
    """Figures by subgroup, at the operating point of `rows`; attributes with one value only are left out.

    Returns:
        One dict per subgroup: attribute, title, value, counts, declined (share, or None), figures.
    """
    found = []
    for attribute, title in ATTRIBUTES.items():
        values = np.asarray(by_attribute[attribute], dtype=object)
        names = _in_order(attribute, set(values))
        if len(names) < 2:  # noqa: PLR2004 - one value only is the section itself
            continue
        for name in names:
            subset = rows.select(values == name)
            wanted = BY_DIAGNOSIS if attribute == "diagnosis" else GENERAL
            figures: dict[str, Figure] = measure(subset, wanted, resamples=resamples, seed=seed, withhold=True)
            if attribute == "diagnosis":  # malignant or benign, never both: the other figure has no meaning here
                figures = {key: value for key, value in figures.items() if value["value"] is not None or value["n"]}
            found.append(
                {
                    "attribute": attribute,
                    "title": title,
                    "value": name,
                    "counts": counts(subset),
                    "declined": float(np.mean(~subset.assessed)) if len(subset) else None,
                    "figures": figures,
                }
            )
    return found


def _in_order(attribute: str, names: set[str]) -> list[str]:
    bands = [name for _, _, name in AGE_BANDS]
    return sorted(
        names,
        key=lambda name: (name == UNKNOWN, bands.index(name) if attribute == "age" and name in bands else 0, name),
    )
