"""Run focus-validator on one Parquet file and print what failed: rule id to broken rows, as JSON.

For the interpreter of focus-validator's own environment, which knows nothing of ours. Rules that
only sum up other rules are left out.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import focus_validator
from focus_validator.validator import Validator


def failures(path: Path) -> dict[str, int]:
    """Check `path` against the bundled FOCUS 1.2 model, as if the provider supported everything."""
    package = Path(focus_validator.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        # It opens its list of currencies, and writes its log, where it is started.
        (Path(folder) / package.name).symlink_to(package)
        os.chdir(folder)
        results = Validator(
            data_filename=str(path),
            output_type="unittest",
            output_destination=str(Path(folder) / "junit.xml"),
            rules_version="1.2",
            focus_dataset="CostAndUsage",
            rules_block_remote_download=True,
            applicability_criteria="ALL",
        ).validate()
        os.chdir(path.parent)
    return {
        rule: int(result["details"]["violations"])
        for rule, result in results.by_rule_id.items()
        if not result["ok"] and "children" not in result["details"]
    }


if __name__ == "__main__":
    print(json.dumps(failures(Path(sys.argv[1]).resolve())))  # noqa: T201 - the answer
