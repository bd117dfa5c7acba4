"""Errors whose text is fit to show a person.

Every error a user can cause says what is wrong, where, with which value, and the way out. The edges (command line,
web) catch `DermaloopError` and print `str(error)`; anything else is a defect of ours and is shown as one.
The trade-off: one flat family with a stable `code`, so that the edges can map them in one table instead of knowing
every class.
"""

from __future__ import annotations


class DermaloopError(Exception):
    """Base of all errors fit to show a person.

    Args:
        what: What is wrong, one clause, without a full stop.
        where: The file, row, column, setting or field concerned.
        way_out: What the reader can do about it.
    """

    code = "error"

    def __init__(self, what: str, *, where: str = "", way_out: str = "") -> None:
        self.what, self.where, self.way_out = what, where, way_out
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text}. {way_out}" if way_out else text)


class ImageError(DermaloopError):
    """A picture cannot be decoded safely. `reason` is one of `core.image.REASONS`."""

    code = "image"

    def __init__(self, reason: str, what: str, *, where: str = "", way_out: str = "") -> None:
        self.reason = reason
        super().__init__(what, where=where, way_out=way_out)


class ManifestError(DermaloopError):
    """A manifest, or a file read into one, breaks a rule. `rule` names it."""

    code = "manifest"

    def __init__(self, rule: str, what: str, *, where: str = "", way_out: str = "") -> None:
        self.rule = rule
        super().__init__(what, where=where, way_out=way_out)


class UnknownDiagnosisError(DermaloopError):
    """A diagnosis term that the taxonomy does not know."""

    code = "unknown_diagnosis"


class BundleError(DermaloopError):
    """A bundle is missing a part, was changed, or was made for another version."""

    code = "bundle"


class RecipeError(DermaloopError):
    """A recipe has an unknown key, a wrong type or a value out of range."""

    code = "recipe"


class OutputError(DermaloopError):
    """A result cannot be written: full disk, missing folder, no permission."""

    code = "output"


class MissingExtraError(DermaloopError):
    """A command needs an optional part of the installation."""

    code = "missing_extra"
