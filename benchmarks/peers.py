"""The peers: the same work in DuckDB's SQL, and only copying the file in Polars.

DuckDB gets two forms of the join. *By row* is what one writes first: the rules as one CASE over
every row, first match wins. *By dimension* decides once per distinct set of the columns the rules
look at and joins the outcome back. Both are spared what our attribution does beside the join: they
divide shared charges by floating-point shares without distributing the remainder, give no reasons,
and prove nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl

from finops import rules, splits
from finops.attribution import MEASURES
from finops.conditions import Condition, Pattern
from finops.organization import Organization

_PLAIN = {
    "charge_id": "x_ChargeId",
    "src": "x_RawId",
    "src_row": "x_RawRow",
    "provider": "'focus'",
    "source": "'bench'",
    "period": "'2026-10'",
    "day": "CAST(ChargePeriodStart AS DATE)",
    "charge_start": "ChargePeriodStart",
    "charge_end": "ChargePeriodEnd",
    "service_provider": "ServiceProviderName",
    "account": "coalesce(SubAccountId, BillingAccountId)",
    "resource": "ResourceId",
    "service": "ServiceName",
    "sku": "SkuId",
    "region": "RegionId",
    "currency": "BillingCurrency",
    "unit": "ConsumedUnit",
    "gpu_model": "x_GpuModel",
}


def copy(charges: Path, to: Path) -> None:
    """Copy charges with Polars, nothing else."""
    pl.scan_parquet(charges / "**/*.parquet", hive_partitioning=False).sink_parquet(to)


def by_row(charges: Path, to: Path, organization: Organization) -> None:
    """Attribute with one CASE over every row."""
    _run(organization, f"SELECT *, {_decided(organization)} AS outcome FROM {_table(charges)}", to)


def by_dimension(charges: Path, to: Path, organization: Organization) -> None:
    """Attribute with the rules decided once per distinct dimension set."""
    names = rules.columns(organization)
    same = " AND ".join(f"c.{name} IS NOT DISTINCT FROM d.{name}" for name in names)
    dimensions = f"SELECT DISTINCT {', '.join(names)} FROM {_table(charges)}"
    _run(
        organization,
        f"SELECT c.*, d.outcome FROM {_table(charges)} c "
        f"JOIN (SELECT *, {_decided(organization)} AS outcome FROM ({dimensions})) d ON {same}",
        to,
    )


def _run(organization: Organization, decided: str, to: Path) -> None:
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    connection.execute(
        "CREATE TABLE parts (outcome VARCHAR, step VARCHAR, rule VARCHAR, center VARCHAR, num BIGINT, den BIGINT)"
    )
    connection.executemany(
        "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)", list(_parts(organization))
    )
    plain = ", ".join(f"{sql} AS {name}" for name, sql in _PLAIN.items())
    shared = ", ".join(
        f"CASE WHEN coalesce(den, 1) = 1 THEN {column} "
        f"ELSE CAST(CAST({column} AS DOUBLE) * num / den AS DECIMAL(38, 18)) END AS {name}"
        for name, column in MEASURES.items()
    )
    connection.execute(
        f"COPY (SELECT {plain}, center AS cost_center, step, rule, NULL::VARCHAR AS reason, "
        f"coalesce(num, 1) AS share_num, coalesce(den, 1) AS share_den, {shared} "
        f"FROM ({decided}) LEFT JOIN parts USING (outcome)) "
        f"TO '{to}' (FORMAT parquet, COMPRESSION zstd)"
    )


def _parts(organization: Organization) -> Iterator[tuple[str, str, str, str, int, int]]:
    """List what each outcome means: a cost center as a whole, or the parts of a split."""
    shares = splits.shares(organization.splits, lambda _: True, {})
    for rule in organization.rules:
        if rule.split:
            for center, num, den in shares[rule.split]:
                yield rule.id, "split", rule.id, center, num, den
        elif rule.cost_center:
            yield rule.id, "rule", rule.id, rule.cost_center, 1, 1
        else:
            for name, center in organization.by_name.items():
                yield f"{rule.id}:{name}", "rule", rule.id, center, 1, 1


def _decided(organization: Organization) -> str:
    """Write the rules as one CASE; what a lookup finds is part of the outcome."""
    names = list(organization.by_name)
    whens = []
    for rule in organization.rules:
        matches = " AND ".join(_matches(name, wanted) for name, wanted in rule.match.items())
        outcome = f"'{rule.id}'"
        if rule.cost_center_from:
            found = f"replace(lower({_value(rule.cost_center_from)}), '-', '_')"
            matches += f" AND {found} IN ({', '.join(map(_quoted, names))})"
            outcome = f"'{rule.id}:' || {found}"
        whens.append(f"WHEN {matches} THEN {outcome}")
    return f"CASE {' '.join(whens)} END"


def _matches(name: str, wanted: Condition) -> str:
    value = _value(name)
    match wanted:
        case bool():
            return f"{value} IS {'NOT ' if wanted else ''}NULL"
        case Pattern():
            return f"regexp_full_match({value}, {_quoted(wanted.regex)})"
        case tuple():
            return f"{value} IN ({', '.join(map(_quoted, wanted))})"
        case _:
            return f"{value} {'GLOB' if '*' in wanted else '='} {_quoted(wanted)}"


def _value(name: str) -> str:
    head, dot, key = name.partition(".")
    return f"json_extract_string({head}, '$.{key}')" if dot else name


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _table(charges: Path) -> str:
    return f"read_parquet('{charges}/**/*.parquet', hive_partitioning = false)"
