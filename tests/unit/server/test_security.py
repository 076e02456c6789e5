from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from embedpipe.errors import ConfigurationError
from embedpipe.server import ApiKeys, ServerSettings, check_address
from embedpipe.server.web.cross_site import is_loopback

KEY = "correct-horse-battery-staple"
OTHER = "another-key-of-sufficient-length"


def test_a_key_is_known_and_shown_nowhere() -> None:
    keys = ApiKeys.of([KEY, OTHER])
    assert keys.holds(KEY)
    assert keys.holds(OTHER)
    assert not keys.holds(KEY[:-1])
    assert not keys.holds("")
    for shown in (repr(keys), str(keys), str(copy.deepcopy(keys)), repr(pickle.dumps(keys))):
        assert KEY not in shown


def test_keys_come_from_the_environment_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ApiKeys.from_environment()
    monkeypatch.setenv("EMBEDPIPE_API_KEYS", f"{KEY}, {OTHER}")
    assert len(ApiKeys.from_environment()) == 2
    file = tmp_path / "keys"
    file.write_text(f"# for the page\n{KEY}\n\n")
    keys = ApiKeys.from_file(file) + ApiKeys.of([OTHER])
    assert len(keys) == 2
    assert keys.holds(KEY)


def test_a_key_may_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\nread {OTHER}\n")
    monkeypatch.setenv("EMBEDPIPE_API_KEYS", KEY)
    monkeypatch.setenv("EMBEDPIPE_READ_KEYS", OTHER)
    for keys in (ApiKeys.of([KEY], reading=[OTHER]), ApiKeys.from_file(file), ApiKeys.from_environment()):
        assert len(keys) == 2
        assert keys.holds(KEY)
        assert keys.may_write(KEY)
        assert keys.holds(OTHER)
        assert not keys.may_write(OTHER)
    with pytest.raises(ConfigurationError, match="twice"):
        ApiKeys.of([KEY], reading=[KEY])


@pytest.mark.parametrize(
    "key", ["", "short", "with a space in the middle", "nicht-druckbar-äöü-äöü", "tab\tin-the-key-of-length"]
)
def test_a_key_that_is_easily_guessed_or_sent_wrongly_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="number 2") as caught:
        ApiKeys.of([KEY, key])
    assert KEY not in str(caught.value)
    assert not key or key not in str(caught.value)


def test_a_file_without_keys_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "keys"
    empty.write_text("# none yet\n")
    with pytest.raises(ConfigurationError, match="holds no key"):
        ApiKeys.from_file(empty)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ApiKeys.from_file(tmp_path / "missing")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),  # noqa: S104 - what is to be refused
        ("::", False),
        ("", False),
        ("192.168.1.2", False),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_only_this_machine_is_served_without_a_key(host: str, local: bool) -> None:
    assert is_loopback(host) == local
    check_address(host, ApiKeys.of([KEY]), insecure=False)
    check_address(host, ApiKeys(), insecure=True)
    if local:
        check_address(host, ApiKeys(), insecure=False)
    else:
        with pytest.raises(ConfigurationError, match="EMBEDPIPE_API_KEYS"):
            check_address(host, ApiKeys(), insecure=False)


@pytest.mark.parametrize("setting", [{"max_requests": 0}, {"request_timeout_s": -1.0}, {"max_body_bytes": 100_000_000}])
def test_settings_that_cannot_work_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"Pass|largest bodies"):
        ServerSettings(**setting)  # type: ignore[arg-type]  # one setting or another
