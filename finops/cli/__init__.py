"""The command line: the outermost layer, which may use everything and is used by nothing."""

import os
import sys

# Said before Prefect is imported: it would otherwise report usage to its makers.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

# The order of these imports is the order of the commands in the help.
from finops.cli import setup, work, look, ledger, exchange  # noqa: I001
from finops.cli.options import app
from finops.cli.terminal import errors
from finops.errors import ConfigError, FinopsError

__all__ = ["app", "exchange", "ledger", "look", "main", "setup", "work"]

TRACEBACK_VARIABLE = "FINOPS_TRACEBACK"
FOUND_SOMETHING_WRONG = 1
MISUSE = 2
INTERRUPTED = 130


def main() -> None:
    """Run the command line; exit with 0 (good), 1 (found something wrong) or 2 (misuse)."""
    try:
        app()
    except ConfigError as error:
        errors.print(f"[red]error:[/] {_escaped(error)}")
        sys.exit(MISUSE)
    except FinopsError as error:
        errors.print(f"[red]error:[/] {_escaped(error)}")
        sys.exit(FOUND_SOMETHING_WRONG)
    except KeyboardInterrupt:
        errors.print("[red]stopped[/]; nothing is half-written, run it again to go on")
        sys.exit(INTERRUPTED)
    except OSError as error:
        errors.print(f"[red]error:[/] {_escaped(error)}")
        sys.exit(FOUND_SOMETHING_WRONG)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        errors.print(
            f"[red]error:[/] this should not happen: {type(error).__name__}: {_escaped(error)}; "
            f"set {TRACEBACK_VARIABLE}=1 to see where, and report it"
        )
        sys.exit(FOUND_SOMETHING_WRONG)


def _escaped(error: BaseException) -> str:
    return str(error).replace("[", r"\[")
