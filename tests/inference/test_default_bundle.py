import pytest

from dermaloop.core.errors import BundleError
from dermaloop.inference.default import default_bundle_path


def test_the_only_bundle_is_the_default(tmp_path):
    (tmp_path / "one.dermaloop").write_bytes(b"")
    (tmp_path / "README.md").write_text("x")
    assert default_bundle_path(tmp_path) == tmp_path / "one.dermaloop"


def test_none_or_two_are_refused_with_a_way_out(tmp_path):
    with pytest.raises(BundleError, match=r"no reference bundle.*--bundle"):
        default_bundle_path(tmp_path)
    for name in ("one", "two"):
        (tmp_path / f"{name}.dermaloop").write_bytes(b"")
    with pytest.raises(BundleError, match=r"one\.dermaloop, two\.dermaloop"):
        default_bundle_path(tmp_path)
