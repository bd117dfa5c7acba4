"""The study's figure: the curve by month, as SVG. No picture of a lesion.

Owns how it looks. Refuses to compute: it draws what `study.json` holds. The tables of docs/study.md are made by
`tools/study.py`, which needs no plots.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dermaloop.core.files import replacing

INK, GREY, PALE, TEAL, ORANGE = "#1c2733", "#6b7785", "#e3e8ed", "#0b6b74", "#b4490f"
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "study", "font.family": "sans-serif", "font.size": 9.5,
    "axes.edgecolor": PALE, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": PALE, "xtick.color": GREY,
    "ytick.color": GREY, "text.color": INK, "legend.frameon": False,
}  # fmt: skip
PANELS = (("balanced_accuracy", "Balanced accuracy"), ("malignant_auc", "AUC for malignancy"))


def draw(found: Mapping[str, Any], path: Path) -> None:
    """The curve of what serves and of each challenger, between never refining and everything at once.

    Args:
        found: What the study found.
        path: The SVG file to write.
    """
    numbers = sorted(int(name.removeprefix("month-")) for name in found if name.startswith("month-"))
    turns = {month: found[f"month-{month}"] for month in numbers} | {numbers[-1] + 1: found["second"]}
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 3.9), layout="constrained")
        for axes, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
            _panel(axes, found, turns, name)
            axes.set_title(title, loc="left", fontsize=10.5)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})


def _panel(axes: Axes, found: Mapping[str, Any], turns: Mapping[int, Any], name: str) -> None:
    places = [0, *turns]
    served = [found["first"]["frozen"][name], *(one["served"][name] for one in turns.values())]
    for figure, colour, style, label in (
        (found["first"]["frozen"][name], GREY, (0, (4, 2)), "never refined"),
        (found["ceiling"]["frozen"][name], ORANGE, (0, (1, 1.5)), "everything at once"),
    ):
        axes.axhspan(figure["low"], figure["high"], color=colour, alpha=0.08, linewidth=0)
        axes.axhline(figure["value"], color=colour, linestyle=style, linewidth=1.6, label=label)
    axes.errorbar(
        places,
        [one["value"] for one in served],
        yerr=[[one["value"] - one["low"] for one in served], [one["high"] - one["value"] for one in served]],
        color=TEAL, marker="o", markersize=5, linewidth=1.8, elinewidth=1, capsize=2.5, label="what serves", zorder=3,
    )  # fmt: skip
    refused = [
        (place, one["challenger"][name]["value"])
        for place, one in turns.items()
        if "challenger" in one and one["outcome"] != "proposed"
    ]
    axes.plot(
        [place for place, _ in refused], [value for _, value in refused], linestyle="none", marker="x", color=INK,
        markersize=6, label="challenger that was refused", zorder=4,
    )  # fmt: skip
    months = found["about"]["size"]["months"]
    axes.set_xticks(places, ["start", *map(str, turns)])
    axes.set_xlabel(
        f"after turn ({months + 1}: poison, {months + 2}: other source, {months + 3}: review)", fontsize=8.5
    )
