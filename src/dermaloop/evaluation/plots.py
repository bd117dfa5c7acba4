"""The report's plots, as SVG text that stands in the page itself.

Owns how curves look. Refuses to compute: it draws what the result holds. Text stays text, so that it is searched,
copied and read aloud; each plot has a sentence that says what it shows.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY, PALE = "#1c2733", "#6b7785", "#d7dde3"
TEAL, ORANGE = "#0b6b74", "#b4490f"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#eef1f4",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def draw(name: str, title: str, paint: Callable[[Axes], None], *, width: float = 4.4, height: float = 3.5) -> str:
    """One plot as `<svg>`, without fixed size, so that the page scales it.

    Args:
        name: Prefix of its ids, unique in the page.
        title: What it shows, for who cannot see it.
        paint: Draws into the axes.
        width: In inches; only the proportion and the size of text relative to it matter.
        height: In inches.
    """
    style: Any = {**_STYLE, "svg.hashsalt": name}
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        paint(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # matplotlib numbers its groups alike in every plot; only the ids that something points to are kept, made unique.
    pointed = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in pointed else "", text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    box = re.search(r'viewBox="[^"]+"', text)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""}'
    label = title.replace("&", "&amp;").replace('"', "&quot;")
    return re.sub(r"<svg[^>]*>", lambda _: f'{head} role="img" aria-label="{label}">', text, count=1)


def roc(curve: Mapping[str, Any], points: Mapping[str, Any], name: str) -> str:
    """Sensitivity against false referrals, with the operating points as measured here."""

    def paint(axes: Axes) -> None:
        x, band = curve["false_positive_rate"], curve["sensitivity"]
        axes.plot([0, 1], [0, 1], color=PALE, lw=1, ls="--")
        _band(axes, x, band, TEAL, "model")
        for marker, (title, point) in zip("osD^v", points.items(), strict=False):
            spot = point["all"]["sensitivity"]["value"], point["all"]["specificity"]["value"]
            if None not in spot:
                axes.plot(1 - spot[1], spot[0], marker, color=ORANGE, ms=5.5, label=title, zorder=5)
        axes.set(xlabel="benign referred (1 - specificity)", ylabel="malignant referred (sensitivity)")
        axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
        axes.legend(loc="lower right")

    return draw(name, "ROC curve of the probability of malignancy, with 95 % band and operating points.", paint)


def reliability(diagram: Mapping[str, Any], name: str) -> str:
    """Observed share of malignant against predicted probability."""

    def paint(axes: Axes) -> None:
        x, band = diagram["predicted"], diagram["observed"]
        axes.plot([0, 1], [0, 1], color=PALE, lw=1, ls="--")
        low = [max(0.0, value - least) for value, least in zip(band["value"], band["low"], strict=True)]
        high = [max(0.0, most - value) for value, most in zip(band["value"], band["high"], strict=True)]
        axes.errorbar(x, band["value"], yerr=[low, high], fmt="o", color=TEAL, ecolor=TEAL, ms=4.5, elinewidth=1.2)
        axes.set(xlabel="predicted probability of malignancy", ylabel="observed share malignant")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))

    return draw(name, f"Reliability diagram, {diagram['binning']}, with 95 % intervals.", paint)


def decision_curve(curve: Mapping[str, Any], name: str) -> str:
    """Net benefit against the threshold, beside referring everybody and nobody."""

    def paint(axes: Axes) -> None:
        x = curve["threshold"]
        axes.axhline(0, color=GREY, lw=1, label="refer nobody")
        axes.plot(x, curve["refer_everybody"], color=ORANGE, lw=1.2, ls="--", label="refer everybody")
        _band(axes, x, curve["model"], TEAL, "model")
        top = max(value for value in curve["model"]["high"] if value is not None)
        axes.set(xlabel="threshold probability", ylabel="net benefit per picture")
        axes.set(xlim=(0, max(x)), ylim=(-0.15 * top - 0.005, 1.08 * top + 0.005))
        axes.legend(loc="upper right")

    return draw(name, "Decision curve: net benefit of the model, of referring everybody and of nobody.", paint)


def risk_coverage(curve: Mapping[str, Any], name: str) -> str:
    """Error rate against the share of pictures that are answered at all."""

    def paint(axes: Axes) -> None:
        x = curve["coverage"]
        for key, colour, label in (("diagnosis", TEAL, "diagnosis wrong"), ("decision", ORANGE, "decision wrong")):
            if key in curve:
                _band(axes, x, curve[key], colour, label)
        axes.set(xlabel="share of pictures answered, surest first", ylabel="share of answers wrong")
        axes.set(xlim=(min(x), 1.0))
        axes.set_ylim(0, min(1.0, axes.get_ylim()[1]) * 1.3)  # room for the legend
        axes.legend(loc="upper left")

    return draw(name, "Risk-coverage curve: errors when the least sure pictures are declined.", paint)


def _band(axes: Axes, x: Any, band: Mapping[str, Any], colour: str, label: str) -> None:
    known = [place for place, value in enumerate(band["low"]) if value is not None]
    axes.plot(
        x, [float("nan") if value is None else value for value in band["value"]], color=colour, lw=1.8, label=label
    )
    axes.fill_between(
        [x[place] for place in known],
        [band["low"][place] for place in known],
        [band["high"][place] for place in known],
        color=colour,
        alpha=0.16,
        lw=0,
    )
