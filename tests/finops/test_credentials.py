import pytest

from finops import credentials
from finops.errors import ConfigError


@pytest.mark.parametrize("value", ["", "  ", None])
def test_a_missing_credential_names_the_variable_and_the_block(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("A_KEY", value)
    with pytest.raises(ConfigError) as caught:
        credentials.read("A_KEY", "runpod", "give it read access")
    assert str(caught.value) == (
        "runpod: set the environment variable A_KEY, or make a Prefect secret block named a-key; "
        "give it read access"
    )


def test_the_environment_comes_first_then_the_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    with credentials.also_from({"A_KEY": " from the vault\n"}.get):
        assert credentials.read("A_KEY", "runpod") == "from the vault"
        monkeypatch.setenv("A_KEY", "from the environment")
        assert credentials.read("A_KEY", "runpod") == "from the environment"
        monkeypatch.delenv("A_KEY")
        assert credentials.find("ANOTHER") is None
    assert credentials.find("A_KEY") is None
