"""Settings: the environment, the options, and what is refused."""

import pytest

from dermaloop.web.settings import Settings, SettingsError, describe, read_settings, require_safe


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
def test_loopback_is_served_without_any_account(host):
    require_safe(Settings(host=host), admin_has_password=False)


BEYOND = ["0.0.0.0", "::", "192.168.1.10", "example.org", ""]
TLS = {"tls_certificate": "chain.pem", "tls_key": "key.pem"}


@pytest.mark.parametrize("host", BEYOND)
@pytest.mark.parametrize("how", [{}, TLS, {"behind_proxy": "10.0.0.1"}])
def test_beyond_it_an_administrator_needs_a_password_first(host, how):
    with pytest.raises(SettingsError, match="no administrator has a password yet"):
        require_safe(Settings(host=host, names="clinic.example.org", **how), admin_has_password=False)


@pytest.mark.parametrize("host", BEYOND)
def test_beyond_it_passwords_do_not_travel_in_the_clear(host):
    with pytest.raises(SettingsError, match="sent in the clear"):
        require_safe(Settings(host=host, names="clinic.example.org"), admin_has_password=True)


@pytest.mark.parametrize("how", [TLS, {"behind_proxy": "10.0.0.1, 10.0.0.2"}])
def test_beyond_it_with_tls_and_a_name_is_served(how):
    settings = Settings(host="0.0.0.0", names="clinic.example.org, other.example.org", **how)
    require_safe(settings, admin_has_password=True)
    assert settings.secure
    assert settings.host_names == ("clinic.example.org", "other.example.org")
    with pytest.raises(SettingsError, match="under which name"):
        require_safe(Settings(host="0.0.0.0", **how), admin_has_password=True)


@pytest.mark.parametrize(("half", "other"), [("tls_key", "--tls-certificate"), ("tls_certificate", "--tls-key")])
def test_half_a_certificate_is_refused_on_loopback_too(half, other):
    with pytest.raises(SettingsError, match=other):
        require_safe(Settings(**{half: "one.pem"}), admin_has_password=True)


def test_the_store_lies_in_the_user_s_data_folder_unless_it_is_named(tmp_path, monkeypatch):
    assert Settings().store_folder.name == "dermaloop"
    monkeypatch.setenv("DERMALOOP_STORE", str(tmp_path))
    assert read_settings().store_folder == tmp_path


def test_every_setting_is_described():
    rows = describe()
    assert {name for name, _, _ in rows} == {f"DERMALOOP_{name.upper()}" for name in Settings.model_fields}
    assert all(text.endswith(".") for _, _, text in rows)
