"""The command line: the outermost layer, which may use everything and is used by nothing."""

import os
import sys

from polars.exceptions import PanicException

# Said before Prefect is imported: it would otherwise report usage to its makers.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

# The order of these imports is the order of the commands in the help.
# isort: off
from finops.cli import setup, work, tracking, coverage, look, changes, rules, rule_changes
from finops.cli import ledger, exchange

# isort: on
from finops.cli.options import app
from finops.cli.terminal import complain
from finops.errors import ConfigError, FinopsError

__all__ = [
    "app",
    "changes",
    "coverage",
    "exchange",
    "ledger",
    "look",
    "main",
    "rule_changes",
    "rules",
    "setup",
    "tracking",
    "work",
]

TRACEBACK_VARIABLE = "FINOPS_TRACEBACK"
FOUND_SOMETHING_WRONG = 1
MISUSE = 2
INTERRUPTED = 130


def main() -> None:
    """Run the command line; exit with 0 (good), 1 (found something wrong) or 2 (misuse)."""
    try:
        app()
    except ConfigError as error:
        _say(str(error))
        sys.exit(MISUSE)
    except (FinopsError, OSError) as error:
        _say(str(error))
        sys.exit(FOUND_SOMETHING_WRONG)
    except KeyboardInterrupt:
        complain(("stopped", "red"), "; nothing is half-written, run it again to go on")
        sys.exit(INTERRUPTED)
    except (Exception, PanicException) as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _say(
            f"this should not happen: {type(error).__name__}: {error}; "
            f"set {TRACEBACK_VARIABLE}=1 to see where, and report it"
        )
        sys.exit(FOUND_SOMETHING_WRONG)


def _say(message: str) -> None:
    complain(("error:", "red"), f" {message}")
