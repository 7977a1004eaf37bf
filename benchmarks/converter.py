"""The peer for native bills: focus-converter 1.0, in an environment of its own.

It needs an older Polars than ours, and starts only with older `multimethod` and `click`.
"""

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

_PINS = ("focus-converter==1.0.0", "multimethod<2", "click<8.2")


def environment(folder: Path) -> Path:
    """Make the environment unless it is there; returns the command."""
    command = folder / "bin" / "focus-converter"
    if not command.exists():
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *_PINS]
        subprocess.run(pip, check=True, stdout=sys.stderr)
    return command


def convert(command: Path, report: Path, to: Path) -> tuple[float, "os.struct_rusage"]:
    """Convert an AWS report to FOCUS Parquet; returns the seconds and what the process took.

    The seconds are of the whole process, starting Python included: it has no other way in.
    """
    options = ("--provider", "aws-cur", "--data-format", "csv", "--export-format", "parquet")
    arguments = [*options, "--no-export-include-source-columns"]
    places = ["--data-path", str(report), "--export-path", str(to)]
    begun = time.monotonic()
    with subprocess.Popen(
        [str(command), "convert", *arguments, *places], stdout=subprocess.DEVNULL
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("focus-converter failed; see its message above")
    return time.monotonic() - begun, used
