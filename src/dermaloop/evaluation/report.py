"""The evaluation as one self-contained HTML page, made from the result and nothing else.

Owns what the page says and in which order; `plots` draws, `templates/report.html` lays out. Nothing in it is loaded
from anywhere, and nothing in it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dermaloop.core.taxonomy import ENTRIES, Diagnosis
from dermaloop.evaluation import plots
from dermaloop.evaluation.figures import LEAST

_HUNDREDTH = 0.01
_NONE, _MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def environment() -> Environment:
    """The templates' environment, with the filters that write a figure as text."""
    made = Environment(
        loader=PackageLoader("dermaloop.evaluation", "templates"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "figure": figure_text,
        "value": value_text,
        "percent": percent_text,
        "section_title": section_title,
    }
    made.globals |= {"diagnosis_name": diagnosis_name, "least": LEAST}
    return made


def value_text(value: float | None, digits: int = 3) -> str:
    """A number with a fixed number of digits; an en dash where there is none."""
    if value is None:
        return _NONE
    return f"{value:.{digits}f}".replace("-", _MINUS)


def figure_text(figure: Mapping[str, Any], digits: int = 3) -> str:
    """Value and interval: `0.944 (0.921 to 0.962)`."""
    if figure["value"] is None:
        return _NONE
    text = value_text(figure["value"], digits)
    if figure["low"] is None:
        return text
    return f"{text} ({value_text(figure['low'], digits)} to {value_text(figure['high'], digits)})"


def percent_text(share: float | None) -> str:
    """A share as a percentage, one digit below 10 %."""
    if share is None:
        return _NONE
    return f"{100 * share:.1f} %" if 0 < abs(share) < 10 * _HUNDREDTH else f"{100 * share:.0f} %"


def section_title(section: Mapping[str, Any]) -> str:
    """`test, ham10000` or `test, all sources`."""
    return f"{section['split']}, {section['source'] or 'all sources'}"


def diagnosis_name(code: str) -> str:
    """The full name of a short code; other text as it is."""
    return ENTRIES[Diagnosis(code)].name if code in Diagnosis.__members__ else code


def render(result: Mapping[str, Any]) -> str:
    """The page.

    Args:
        result: As `pipeline.evaluate` makes it; schema 1.

    Returns:
        HTML.
    """
    drawn = [_plots(section, f"s{number}") for number, section in enumerate(result["sections"])]
    return environment().get_template("report.html").render(result=result, drawn=drawn, groups=_groups)


def _plots(section: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    found = []
    jobs = (
        (
            "roc",
            "Telling malignant from benign",
            "The higher and further left, the better; the band is the 95 % interval.",
        ),
        ("reliability", "Calibration", "On the dashed line, 30 % means 30 in 100. "),
        (
            "decision_curve",
            "Worth of the referrals",
            "Above both lines, using the model does more good than either rule.",
        ),
        ("risk_coverage", "Declining the unsure", "How often the answer is wrong when the least sure are left out."),
    )
    for key, title, text in jobs:
        curve = section[key]
        if curve.get("note"):
            found.append({"title": title, "text": curve["note"], "svg": ""})
        elif key == "roc":
            found.append(
                {"title": title, "text": text, "svg": plots.roc(curve, section["operating_points"], name + "a")}
            )
        elif key == "reliability":
            svg = plots.reliability(curve, name + "b")
            found.append({"title": title, "text": f"{text}{curve['binning'].capitalize()}.", "svg": svg})
        elif key == "decision_curve":
            found.append({"title": title, "text": text, "svg": plots.decision_curve(curve, name + "c")})
        elif "decision" in curve or "diagnosis" in curve:
            found.append({"title": title, "text": text, "svg": plots.risk_coverage(curve, name + "d")})
    return found


def _groups(subgroups: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Subgroups by the title of their attribute, in order."""
    by_title: dict[str, list[dict[str, Any]]] = {}
    for entry in subgroups:
        by_title.setdefault(entry["title"], []).append(entry)
    return list(by_title.items())
