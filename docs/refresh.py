"""Write the parts of the README that commands produce: `finops --help` and the demo's output."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
WIDTH = 100


def said(*arguments: str) -> str:
    """Run `finops` in a terminal of a fixed width and return what it printed."""
    finops = Path(sys.executable).parent / "finops"
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(  # noqa: S603 - our own command
        [finops, *arguments], capture_output=True, text=True, check=True, env=environment
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def demo_output() -> str:
    """Run the demo in a temporary folder; its path is shown as `demo-out`."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/demo-out"
        return said("demo", "--out", out).replace(f"{folder}/", "")


def with_block(text: str, name: str, content: str) -> str:
    """Replace the text block between `<!-- name: … -->` and `<!-- /name -->`."""
    pattern = rf"(<!-- {name}:.*?-->\n```text\n).*?(```\n<!-- /{name} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL)


def block(text: str, name: str) -> str:
    """Return the text block between `<!-- name: … -->` and `<!-- /name -->`."""
    found = re.search(
        rf"<!-- {name}:.*?-->\n```text\n(.*?)\n```\n<!-- /{name} -->", text, re.DOTALL
    )
    return found[1] if found else ""


if __name__ == "__main__":
    page = README.read_text(encoding="utf-8")
    page = with_block(page, "help", said("--help"))
    page = with_block(page, "demo", demo_output())
    README.write_text(page, encoding="utf-8")
