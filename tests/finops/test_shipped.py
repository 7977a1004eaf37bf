import pytest

from finops import shipped


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("reference", "gpu_instances.csv"),
        ("reference", "regions.csv"),
        ("init", "organization.toml"),
        ("demo", "generate.py"),
    ],
)
def test_what_the_software_brings(name: str, holds: str) -> None:
    assert (shipped.folder(name) / holds).is_file()
