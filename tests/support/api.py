"""What a program does over the API, by a test client: one line per step."""

from __future__ import annotations

from typing import Any

from dermaloop.cases.roles import scopes_for
from support.people import add_account, make_token

PATIENT = {"pseudonym": "P-0174", "birth_year": 1957, "sex": "female", "skin_type": 2, "note": ""}
FINDING = {"diagnosis": "MEL", "confirmation": "histopathology", "confirmed_on": "2026-03-08"}


def bearer(store: Any, role: Any, scopes: Any = None, name: str = "") -> dict[str, str]:
    """The header of a token of an account of this role; with every scope that it may give where none are named."""
    token = make_token(store, add_account(store, role, name), scopes or scopes_for(role))
    return {"Authorization": f"Bearer {token}"}


def post(client: Any, path: str, body: Any = None, **more: Any) -> Any:
    """Makes something; gives what the API says of it."""
    answer = (
        client.post(f"/api/v1{path}", json=body, **more) if body is not None else client.post(f"/api/v1{path}", **more)
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def get(client: Any, path: str) -> Any:
    """Reads something."""
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def new_lesion(client: Any, **patient: Any) -> str:
    """A patient with a lesion; gives the lesion's id."""
    made = post(client, "/patients", {**PATIENT, **patient})
    return str(post(client, f"/patients/{made['id']}/lesions", {"site": "torso"})["id"])


def upload(client: Any, lesion_id: str, *files: tuple[str, bytes], **more: Any) -> Any:
    """Sends a visit's pictures; gives the whole answer."""
    data = {"visited_on": "2026-03-01", "image_type": "dermoscopic", **more.pop("data", {})}
    return client.post(
        f"/api/v1/lesions/{lesion_id}/visits", data=data, files=[("pictures", file) for file in files], **more
    )


def new_case(client: Any, *files: tuple[str, bytes], **patient: Any) -> str:
    """A patient with a lesion and a visit with these pictures; gives the case's id."""
    answer = upload(client, new_lesion(client, **patient), *files)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["case_id"])
