"""A toy classifier behind the real application, for all tests of the page and the API."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dermaloop.cases.roles import Role
from dermaloop.cases.store import Store
from dermaloop.core import bundle as bundles
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.classifier import Classifier
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.hostile import save
from support.people import new_store, sign_in
from support.toy import toy_bundle

CARD = """# Toy model

Fitted on drawn lesions. <script>alert("card")</script>

| Split | Malignant AUC |
|---|---|
| test | 0.50 |

[A paper](https://doi.org/10.1038/sdata.2018.161) and ![a picture](https://elsewhere.example/x.png)
and [a trap](javascript:alert(1)).
"""
REPORT = "<!doctype html><title>Report</title><style>h1{color:#333}</style><h1>Report</h1>"
BASE = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def toy_classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """The toy bundle with a card and a report, ready to classify."""
    parts = {bundles.CARD: CARD.encode(), bundles.REPORT: REPORT.encode()}
    folder: Path = tmp_path_factory.mktemp("web")
    path = toy_bundle(folder, parts=parts, licence="CC BY-NC 4.0, non-commercial research")
    return Classifier(bundles.open_bundle(path), threads=1)


Make = Callable[..., TestClient]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with new_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def make_client(toy_classifier: Classifier, store: Store) -> Iterator[Make]:
    """Makes a client, signed in as `role` (None: as nobody), of an application with other settings or classifier."""
    clients: list[TestClient] = []

    def make(classifier: Any = None, *, role: Role | None = Role.ADMIN, **settings: Any) -> TestClient:
        app = create_app(Settings(**settings), classifier or toy_classifier, store)
        client = TestClient(app, base_url=BASE)
        client.__enter__()
        clients.append(client)
        if role is not None:
            sign_in(client, role)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: Make) -> TestClient:
    """A client of the application with the settings as they come, signed in as administrator."""
    return make_client()


@pytest.fixture(scope="session")
def lesion_jpeg() -> bytes:
    """A drawn lesion that the toy model assesses."""
    return save(draw_lesion(4, size_px=300, malignant=True), "JPEG", quality=92)


@pytest.fixture(scope="session")
def blank_png() -> bytes:
    """A blank picture, which the toy model declines as blurred."""
    return save(Image.new("RGB", (300, 300), (210, 170, 150)), "PNG")
