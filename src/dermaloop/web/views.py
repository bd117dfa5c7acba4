"""From an uploaded file to what the page shows of it.

Owns the view of one result: classification, then the picture, the heatmap and the sentences; from the records too,
where nothing is classified again. Refuses to know HTTP and HTML. Runs in a worker thread. The trade-off: figures and
heatmap of a declined picture are withheld from the page (a number beside "no assessment" would be read as one) unless
it was declined only for lying too close to the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.errors import DermaloopError
from dermaloop.core.image import decode
from dermaloop.core.prediction import Prediction, Reason, SimilarCase, Status
from dermaloop.core.taxonomy import ENTRIES
from dermaloop.web.observed import Assessor
from dermaloop.web.render import data_address, heatmap_png, picture_jpeg
from dermaloop.web.settings import Settings
from dermaloop.web.translation import gettext, number
from dermaloop.web.upload import Upload, file_too_large
from dermaloop.web.wording import (
    QUALITY,
    Verdict,
    absent_point_sentences,
    confirmation_name,
    diagnosis_name,
    operating_point_sentences,
    percent,
    verdict,
)

_WHOLE = 0.999
_AMBIGUOUS = "ambiguous"
_TOO_LARGE = "too_large_bytes"
"""As `core.image` calls it, so that the page and the command name the same reason."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One diagnosis: full name, share in words and as a width from 0 to 100."""

    code: str
    name: str
    share: str
    width: float
    malignant: bool
    top: bool


@dataclass(frozen=True, slots=True)
class Similar:
    """One similar case, in words."""

    name: str
    malignant: bool
    confirmation: str
    image_id: str
    source: str
    similarity: str


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows of one picture. Addresses are `data:` or paths of this server; boxes in pixels of `size`."""

    prediction: Prediction
    verdict: Verdict
    point: OperatingPoint | None
    """What decided; None where it is not at hand, being another model's."""
    point_sentences: tuple[str, ...]
    threshold: float
    label: str
    picture: str = ""
    size: tuple[int, int] = (0, 0)
    heatmap: str = ""
    frame: tuple[float, float, float, float] | None = None
    """x, y, width, height of the square that the model saw."""
    cut: bool = False
    """Whether part of the picture lies outside that square."""
    malignant_width: float | None = None
    """The malignancy probability from 0 to 100; None where it is not shown."""
    threshold_width: float = 0.0
    bars: tuple[Bar, ...] = ()
    similar: tuple[Similar, ...] = ()
    quality: tuple[tuple[str, str], ...] = ()
    drawn: bool = False


def assess(classifier: Assessor, upload: Upload, settings: Settings, *, drawn: bool = False) -> View:
    """Classifies one file and prepares what the page shows of it.

    Args:
        classifier: Ready to use.
        upload: The file; never raises for a bad one, which becomes an unreadable result.
        settings: For the size of the shown picture.
        drawn: Whether the program drew the picture itself.
    """
    prediction = predict(classifier, upload, settings)
    point = classifier.operating_point
    if prediction.status is Status.UNREADABLE:
        return view_of(prediction, point, upload.name, drawn=drawn)
    picture, size = _picture(upload, settings, prediction.frame)
    heatmap = ""
    if prediction.heatmap is not None and shows_figures(prediction):
        heatmap = data_address(heatmap_png(prediction.heatmap), "image/png")
    return view_of(prediction, point, upload.name, picture=picture, size=size, heatmap=heatmap, drawn=drawn)


def view_of(
    prediction: Prediction,
    point: OperatingPoint | None,
    label: str,
    *,
    picture: str = "",
    size: tuple[int, int] = (0, 0),
    heatmap: str = "",
    drawn: bool = False,
) -> View:
    """What a page shows of a prediction, fresh or from the records.

    Args:
        prediction: Of one picture.
        point: What decided; None where it is not at hand.
        label: What the page calls the picture.
        picture: Its address; empty where it cannot be shown.
        size: (width, height) in pixels of what is shown.
        heatmap: Its address; empty where there is none. Only shown where figures are.
        drawn: Whether the program drew the picture itself.
    """
    threshold = prediction.threshold or (point.threshold if point else 0.0)
    said = operating_point_sentences(point) if point else absent_point_sentences(threshold)
    view = View(prediction, verdict(prediction, point), point, said, threshold, label, drawn=drawn)
    if prediction.status is Status.UNREADABLE:
        return view
    frame = _box(prediction.frame, size)
    view = replace(
        view,
        picture=picture,
        size=size,
        frame=frame,
        cut=frame is not None and min(frame[2] / size[0], frame[3] / size[1]) < _WHOLE,
        quality=tuple(
            (gettext(QUALITY.get(name, name)), number(value, 2)) for name, value in prediction.quality.items()
        ),
    )
    return _with_figures(view, heatmap) if shows_figures(prediction) else view


def predict(classifier: Assessor, upload: Upload, settings: Settings) -> Prediction:
    """Classifies one file; a file over the limit becomes an unreadable result with its reason."""
    if not upload.too_large:
        return classifier.classify(upload.content, upload.name)
    return _too_large(classifier, upload, settings)


def predict_together(asked: Sequence[tuple[Assessor, Upload]], settings: Settings) -> list[Prediction]:
    """Classifies a few files, of one request or several, as `predict` does each; in order.

    In one pass where one model is asked about all of them, as it is but for the moment in which another takes over.
    """
    classifier = asked[0][0]
    if len(asked) == 1 or any(other is not classifier for other, _ in asked):
        return [predict(own, upload, settings) for own, upload in asked]
    fitting = [(upload.content, upload.name) for _, upload in asked if not upload.too_large]
    found = iter(classifier.classify_together(fitting) if fitting else ())
    return [_too_large(classifier, upload, settings) if upload.too_large else next(found) for _, upload in asked]


def _too_large(classifier: Assessor, upload: Upload, settings: Settings) -> Prediction:
    error = file_too_large(upload.name, "", settings)
    reason = Reason(_TOO_LARGE, f"{_sentence(error.what)} {error.way_out}")
    return Prediction(upload.name, "", classifier.bundle.identity, Status.UNREADABLE, (reason,))


def shows_figures(prediction: Prediction) -> bool:
    """Whether the page shows probabilities and heatmap of a prediction."""
    if prediction.malignant_probability is None:
        return False
    codes = {reason.code for reason in prediction.reasons}
    return prediction.status is Status.ASSESSED or codes == {_AMBIGUOUS}


def _with_figures(view: View, heatmap: str) -> View:
    prediction = view.prediction
    ordered = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    bars = tuple(
        Bar(
            code=str(diagnosis),
            name=diagnosis_name(diagnosis),
            share=percent(share),
            width=round(100 * share, 2),
            malignant=ENTRIES[diagnosis].counts_as_malignant,
            top=diagnosis == prediction.top_diagnosis,
        )
        for diagnosis, share in ordered
    )
    return replace(
        view,
        heatmap=heatmap,
        malignant_width=round(100 * (prediction.malignant_probability or 0.0), 2),
        threshold_width=round(100 * view.threshold, 2),
        bars=bars,
        similar=tuple(_similar(case) for case in prediction.similar),
    )


def _similar(case: SimilarCase) -> Similar:
    return Similar(
        name=diagnosis_name(case.diagnosis),
        malignant=ENTRIES[case.diagnosis].counts_as_malignant,
        confirmation=confirmation_name(case.confirmation),
        image_id=case.image_id,
        source=case.source,
        similarity=number(case.similarity, 2),
    )


def _picture(
    upload: Upload, settings: Settings, frame: tuple[float, float, float, float] | None
) -> tuple[str, tuple[int, int]]:
    """The picture as the page shows it.

    It is decoded a second time on purpose. The network's picture is decoded at the scale that the network takes, some
    224 px, and a JPEG is reduced by its own means there; one decoding for both would hand the network another picture
    than the command and the batch hand it, or show the page a coarse one. The frame tells the picture's shape, so that
    no more is decoded than is shown: of a photograph of 12 megapixels 50 ms instead of 90 ms.
    """
    short, long = 1.0, 1.0
    if frame is not None:
        short, long = sorted((frame[2] - frame[0], frame[3] - frame[1]))  # of a centred square: shares of the sides
    side_px = settings.picture_side_px
    try:
        decoded = decode(upload.content, name=upload.name, least_side_px=max(1, math.ceil(side_px * short / long)))
    except DermaloopError:  # it was decoded a moment ago, so only a change of limits between the two can bring us here
        return "", (1, 1)
    content, size = picture_jpeg(decoded.image, settings.picture_side_px)
    return data_address(content, "image/jpeg"), size


def _box(
    frame: tuple[float, float, float, float] | None, size: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    if frame is None:
        return None
    (left, top, right, bottom), (width, height) = frame, size
    return (
        round(left * width, 2),
        round(top * height, 2),
        round((right - left) * width, 2),
        round((bottom - top) * height, 2),
    )


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."
