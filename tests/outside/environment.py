"""An environment for focus-validator, whose pins (NumPy below 2) do not go together with ours."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HOME = ROOT / ".venv-focus-validator"
# With a newer pyarrow, which wants NumPy 2, the resolver finds no answer that starts.
PACKAGES = ("focus-validator==2.2.1", "pyarrow<26")
_SECONDS_MOST = 900

_CONVERTER = "focus_validator/config_objects/focus_to_duckdb_converter.py"
_NEEDS_3_12 = r"""f"'{k.replace('\"', '\"\"')}'" for k in ignore_keys"""
_FOR_3_11 = """"'" + k.replace('"', '""') + "'" for k in ignore_keys"""


def interpreter() -> Path:
    """Make the environment once and return its Python; skips the test when it cannot be made."""
    python = HOME / "bin" / "python"
    with (ROOT / ".venv-focus-validator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests may run in several processes
        if not (HOME / ".made").exists():
            try:
                _make(python)
            except (subprocess.SubprocessError, OSError) as error:
                shutil.rmtree(HOME, ignore_errors=True)
                pytest.skip(f"{' '.join(PACKAGES)} cannot be installed here: {_said(error)}")
            (HOME / ".made").touch()
    return python


def _make(python: Path) -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(HOME))
    _run(
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--ignore-requires-python",  # it asks for 3.12, for the sake of one line
        *PACKAGES,
    )
    for path in HOME.glob(f"lib/*/site-packages/{_CONVERTER}"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(_NEEDS_3_12, _FOR_3_11), encoding="utf-8")
    _run(str(python), "-c", "import focus_validator.validator")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS_MOST)


def _said(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error)
    return (text.strip().splitlines() or ["no reason given"])[-1]
