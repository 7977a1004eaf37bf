"""The house rules as checks: names, sizes, registries, and what may stand in which file."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from providers import registry as providers
from reports import registry as reports

ROOT = Path(__file__).parent.parent
PACKAGES = ("finops", "providers", "reports", "tasks", "flows")
MODULE_LINES_MOST = 400
FUNCTION_LINES_MOST = 70
BANNED_NAMES = {"utils", "util", "helper", "helpers", "manager", "misc", "common"}
SHARED_BY_PROVIDERS = {
    "accruing",
    "base",
    "billing_months",
    "http",
    "intake",
    "paging",
    "prometheus",
    "recorded",
    "registry",
    "rows",
    "shapes",
    "withheld",
}


def tracked(*patterns: str) -> list[Path]:
    """List the files git knows or would add, so that leftovers do not count."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def modules() -> list[Path]:
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def test_the_house_has_its_packages() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in modules()} == set(PACKAGES)


def test_modules_and_functions_are_small() -> None:
    too_long = []
    for path in tracked("*.py"):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MODULE_LINES_MOST:
            too_long.append(f"{path}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES_MOST:
                    too_long.append(f"{path}:{node.lineno} {node.name}: {size} lines")
    assert not too_long


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [path for path in modules() if path.stem in BANNED_NAMES]


def test_no_flow_is_named_like_something_else_that_is_imported() -> None:
    # Prefect's loader puts flows/ itself on sys.path: such a file would hide the other module.
    taken = {*sys.stdlib_module_names, *packages_distributions(), *PACKAGES} - {"tests"}
    named = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert not named & taken


def test_flows_import_absolutely() -> None:
    relative = [
        path
        for path in (ROOT / "flows").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert not relative


def test_every_provider_module_belongs_to_a_registered_provider() -> None:
    named = {target.partition(":")[0].rpartition(".")[2] for target in providers.PROVIDERS.values()}
    assert named == set(providers.PROVIDERS)
    for path in (ROOT / "providers").glob("*.py"):
        if path.stem not in SHARED_BY_PROVIDERS | {"__init__"}:
            assert any(path.stem == name or path.stem.startswith(f"{name}_") for name in named)


@pytest.mark.parametrize("name", sorted(providers.PROVIDERS))
def test_every_provider_has_its_test_fixtures_page_and_readme_row(name: str) -> None:
    made = providers.provider_class(name)
    assert name == made.NAME
    assert made.NEEDS
    assert made.LOOKBACK_DAYS > 0
    assert (ROOT / "tests" / "providers" / f"test_{name}.py").is_file()
    assert (ROOT / "tests" / "fixtures" / name).is_dir()
    assert (ROOT / "docs" / "providers" / f"{name}.md").is_file()
    assert f"| `{name}` |" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", [*reports.REPORTS.values(), *reports.NOTIFIERS.values()])
def test_every_report_and_notifier_exists_and_is_tested(target: str) -> None:
    module, _, attribute = target.partition(":")
    assert hasattr(__import__(module, fromlist=[attribute]), attribute)
    assert (ROOT / "tests" / "reports" / f"test_{module.rpartition('.')[2]}.py").is_file()


def test_imports_go_one_way() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


def test_the_lock_holds_exact_versions_and_no_addresses() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 50
    assert not [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line)
    ]


def test_prefect_yaml_names_flows_that_exist() -> None:
    declared = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))
    for deployment in declared["deployments"]:
        path, _, name = deployment["entrypoint"].partition(":")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert deployment["name"] == name


def test_money_is_never_a_float() -> None:
    suspicious = re.compile(r"float\([^)]*(cost|amount|billed|price|budget)", re.IGNORECASE)
    assert not [path for path in modules() if suspicious.search(path.read_text(encoding="utf-8"))]


def test_no_path_is_taken_for_a_pattern() -> None:
    """Polars reads `[1]*?` in a path as a pattern, and finds other files or none."""
    readers = {"scan_parquet", "read_parquet", "scan_csv", "read_csv", "scan_ndjson", "scan_ipc"}
    guessing = [
        f"{path}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in readers
        and not {keyword.arg for keyword in node.keywords} & {"glob"}
        and not any(
            ast.unparse(argument).startswith(("io.", "pa.BufferReader(")) for argument in node.args
        )
    ]
    assert not guessing
