"""Settings: the environment, the options, and what is refused."""

import pytest

from dermaloop.web.settings import Settings, SettingsError, describe, read_settings, require_loopback


def test_the_environment_is_read_and_options_win(monkeypatch):
    monkeypatch.setenv("DERMALOOP_MAX_FILES", "3")
    monkeypatch.setenv("DERMALOOP_PORT", "9001")
    assert (read_settings().max_files, read_settings().port) == (3, 9001)
    assert read_settings(port=9002, host=None).port == 9002
    assert read_settings(host=None).host == "127.0.0.1"


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("DERMALOOP_PORT", "")
    assert read_settings().port is None


def test_a_bad_variable_is_named_with_its_value_and_meaning(monkeypatch):
    monkeypatch.setenv("DERMALOOP_MAX_FILES", "many")
    with pytest.raises(SettingsError, match=r"DERMALOOP_MAX_FILES: 'many' .*Most picture files in one request"):
        read_settings()


def test_a_bad_option_is_named_as_the_option():
    with pytest.raises(SettingsError, match=r"--port: 99999"):
        read_settings(port=99999)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_served(host):
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "example.org", ""])
def test_anything_else_is_refused_until_there_are_accounts(host):
    with pytest.raises(SettingsError, match="no accounts yet"):
        require_loopback(host)


def test_every_setting_is_described():
    rows = describe()
    assert {name for name, _, _ in rows} == {f"DERMALOOP_{name.upper()}" for name in Settings.model_fields}
    assert all(text.endswith(".") for _, _, text in rows)
