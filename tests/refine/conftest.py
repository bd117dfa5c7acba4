"""Fixtures of the tests of refining."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dermaloop.cases.store import open_store
from dermaloop.core.bundle import Bundle, open_bundle
from support.toy import toy_bundle


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty store, to be copied: making its tables takes longer than most tests."""
    folder = tmp_path_factory.mktemp("empty") / "store"
    open_store(folder).close()
    return folder


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Iterator[Any]:
    """An open store of the default kind, empty."""
    opened = open_store(shutil.copytree(empty_store, tmp_path / "store"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The toy bundle, without limits of quality."""
    return open_bundle(toy_bundle(tmp_path_factory.mktemp("toy")))
