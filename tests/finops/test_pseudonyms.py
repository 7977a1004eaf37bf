"""Pseudonyms: the same for the same person, nobody else's, and no way back without the key."""

import os
import stat
import threading
from pathlib import Path

import pytest

from finops.errors import ConfigError
from finops.pseudonyms import KEY_VARIABLE, load_key, pseudonym

KEY = bytes(range(32))


def test_spelling_does_not_matter_and_the_key_does() -> None:
    alice = pseudonym("alice@company.com", KEY)
    assert alice == "u-2332957f0611c537fb32c347991c66d7"
    assert pseudonym(" Alice@Company.com", KEY) == alice
    assert pseudonym(alice, KEY) == alice
    assert pseudonym("alice@company.com", bytes(32)) != alice
    assert pseudonym("bob@company.com", KEY) != alice


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "pseudonyms.key"
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(load_key(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(keys) == 8
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["pseudonyms.key"]


def test_the_environment_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY.hex())
    assert load_key(tmp_path / "key") == KEY
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff" * 64, b"ab" * 31])
def test_what_is_no_key_is_refused_and_not_shown(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match="holds no key of 64") as caught:
        load_key(tmp_path / "key")
    assert "ab" * 31 not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        load_key(tmp_path / "key")
