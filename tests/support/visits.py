"""What a clinician does on the pages of the workstation, by a test client: one line per step."""

from __future__ import annotations

import re
from typing import Any

FACTS = {"pseudonym": "P-0174", "birth_year": "1957", "sex": "female", "skin_type": "2", "note": ""}
FINDING = {"diagnosis": "MEL", "confirmation": "histopathology", "confirmed_on": "2026-03-08"}


def new_patient(client: Any, **changes: str) -> str:
    """Makes a patient; gives the path of their page."""
    return _path(client.post("/patients/new", data={**FACTS, **changes}))


def new_lesion(client: Any, patient: str, **changes: str) -> str:
    """Makes a lesion on the left upper back; gives the path of its page."""
    return _path(client.post(f"{patient}/lesions/new", data={"region": "back-upper-back-left", **changes}))


def send_pictures(client: Any, lesion: str, *files: tuple[str, bytes], **changes: str) -> Any:
    """Sends pictures of a lesion; gives the answer."""
    data = {"visited_on": "2026-03-01", "image_type": "dermoscopic", "pixel_size_mm": "", **changes}
    return client.post(f"{lesion}/visits/new", data=data, files=[("pictures", file) for file in files])


def new_case(client: Any, *files: tuple[str, bytes], **facts: str) -> str:
    """A patient with a lesion and a visit with these pictures; gives the path of the case."""
    return _path(send_pictures(client, new_lesion(client, new_patient(client, **facts)), *files))


def _path(answer: Any) -> str:
    assert answer.status_code == 200, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))
    assert answer.history, "it leads on to what was made"
    return str(answer.url.path)
