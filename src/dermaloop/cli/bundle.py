"""`dermaloop bundle`: show, verify, print the card of, or convert a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dermaloop.core.bundle import Bundle

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Show, verify or convert a bundle.")

_WHERE = typer.Argument(
    None, help="Bundle folder or .dermaloop file. [default: the one that ships]", show_default=False
)


def _open(path: Path | None) -> Bundle:
    from dermaloop.core.bundle import open_bundle
    from dermaloop.inference.default import default_bundle_path

    return open_bundle(path or default_bundle_path())


@app.command()
def show(path: Path | None = _WHERE, as_json: bool = typer.Option(False, "--json", help="Print bundle.json.")) -> None:
    """What the bundle is, what it was made from and how it decides."""
    from rich.console import Console
    from rich.table import Table

    bundle = _open(path)
    spec = bundle.spec
    if as_json:
        typer.echo(json.dumps({"identity": bundle.identity, **spec.model_dump(mode="json")}, indent=1))
        return
    size = sum(len(content) for content in bundle.parts.values())
    rows = {
        "Bundle": bundle.identity,
        "Version": f"{spec.version}, made {spec.created}",
        "Network": f"{spec.network}, input {spec.size_px} x {spec.size_px} px",
        "Diagnoses": " ".join(spec.classes),
        "Trained on": ", ".join(f"{source} {count}" for source, count in spec.sources.items()) + " images",
        "Calibrated on": spec.calibration.fitted_on,
        "Declines": f"beyond distance {spec.gate.ood_limit:.3g} ({spec.gate.ood_fitted_on}); "
        f"probability in [{spec.gate.ambiguous_low:.3g}, {spec.gate.ambiguous_high:.3g})",
        "Quality limits": "; ".join(_range(name, limits) for name, limits in spec.gate.quality.items()) or "none",
        "Manifest": spec.manifest_sha256,
        "Recipe": spec.recipe_sha256,
        "Code": spec.code_sha256,
        "Licence": spec.licence,
        "Parts": f"{', '.join(sorted(bundle.parts))}; {size / 1e6:.1f} MB",
    }
    console = Console(highlight=False)
    about = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    about.add_column(no_wrap=True)
    about.add_column(overflow="fold")
    for name, value in rows.items():
        about.add_row(name, value)
    console.print(about, markup=False)
    points = Table("Operating point", "Chosen for", "Refers from", "Sensitivity", "Specificity", "Measured on")
    for point in spec.operating_points:
        mark = " (default)" if point.name == spec.default_operating_point else ""
        points.add_row(
            point.name + mark,
            point.target,
            f"{point.threshold:.4f}",
            f"{point.sensitivity:.3f} ({point.sensitivity_interval[0]:.3f} to {point.sensitivity_interval[1]:.3f})",
            f"{point.specificity:.3f} ({point.specificity_interval[0]:.3f} to {point.specificity_interval[1]:.3f})",
            f"{point.measured_on}; {point.n_malignant} malignant, {point.n_benign} benign",
        )
    console.print(points)
    console.print("Decision support for research use. Not a medical device.")


def _range(name: str, limits: tuple[float | None, float | None]) -> str:
    low, high = limits
    bounds = [f"at least {low:.3g}" if low is not None else "", f"at most {high:.3g}" if high is not None else ""]
    return f"{name} {' and '.join(bound for bound in bounds if bound) or 'any'}"


@app.command()
def verify(path: Path | None = _WHERE) -> None:
    """Check the hash of every part and that the graph runs. Exit status 1, naming the part, where one was changed."""
    from dermaloop.inference.classifier import Classifier

    bundle = _open(path)
    Classifier(bundle, threads=1)
    for name, digest in bundle.spec.parts.items():
        typer.echo(f"{digest}  {name}")
    typer.echo(f"{bundle.identity}: all {len(bundle.spec.parts)} parts are intact and the graph runs.")


@app.command()
def card(path: Path | None = _WHERE) -> None:
    """Print the model card (Markdown)."""
    from dermaloop.core.bundle import CARD

    typer.echo(_open(path).parts[CARD].decode("utf-8"))


@app.command()
def export(
    out: Path = typer.Argument(help="Where to write: a name ending in .dermaloop for one file, else a folder."),
    bundle: Path | None = typer.Option(None, "--bundle", help="Bundle to copy. [default: the one that ships]"),
) -> None:
    """Copy a bundle, as one file or as a folder; it keeps its identity."""
    from dermaloop.core.bundle import write

    source = _open(bundle)
    copy = write(out, source.spec, source.parts)
    typer.echo(f"{copy.identity} written to {out}")
