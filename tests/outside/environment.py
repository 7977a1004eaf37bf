"""Environments for what checks our exports from outside, and does not go together with ours.

focus-validator pins NumPy below 2; focus-data-toolkit, which knows FOCUS 1.4, is kept apart too.
"""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HOME = ROOT / ".venv-focus-validator"
# With a newer pyarrow, which wants NumPy 2, the resolver finds no answer that starts.
PACKAGES = ("focus-validator==2.2.1", "pyarrow<26")
TOOLKIT = ROOT / ".venv-focus-validator-toolkit"
TOOLKIT_PACKAGES = ("focus-data-toolkit[parquet]==0.14.1",)
_SECONDS_MOST = 900

_CONVERTER = "focus_validator/config_objects/focus_to_duckdb_converter.py"
_NEEDS_3_12 = r"""f"'{k.replace('\"', '\"\"')}'" for k in ignore_keys"""
_FOR_3_11 = """"'" + k.replace('"', '""') + "'" for k in ignore_keys"""


def interpreter() -> Path:
    """Return the Python that has focus-validator; skips the test when it cannot be made."""
    return _made(HOME, PACKAGES, _patch)


def toolkit() -> Path:
    """Return the command of focus-data-toolkit; skips the test when it cannot be installed."""
    python = _made(TOOLKIT, TOOLKIT_PACKAGES, lambda _: None)
    return python.with_name("focus-toolkit")


def _made(home: Path, packages: Sequence[str], finish: Callable[[Path], None]) -> Path:
    """Make an environment once and return its Python."""
    python = home / "bin" / "python"
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests may run in several processes
        if not (home / ".made").exists():
            try:
                _install(home, python, packages)
                finish(python)
            except (subprocess.SubprocessError, OSError) as error:
                shutil.rmtree(home, ignore_errors=True)
                pytest.skip(f"{' '.join(packages)} cannot be installed here: {_said(error)}")
            (home / ".made").touch()
    return python


def _install(home: Path, python: Path, packages: Sequence[str]) -> None:
    shutil.rmtree(home, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(home))
    _run(
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--ignore-requires-python",  # it asks for 3.12, for the sake of one line
        *packages,
    )


def _patch(python: Path) -> None:
    for path in HOME.glob(f"lib/*/site-packages/{_CONVERTER}"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(_NEEDS_3_12, _FOR_3_11), encoding="utf-8")
    _run(str(python), "-c", "import focus_validator.validator")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS_MOST)


def _said(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error)
    return (text.strip().splitlines() or ["no reason given"])[-1]
