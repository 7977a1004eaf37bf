"""The table of regions, and the names looked up in it."""

import botocore.session
import polars as pl
import pytest

from finops import regions, shipped
from providers import registry
from tests.finops.test_gpus import TO_COME

PUBLIC_AWS = {"aws", "aws-cn", "aws-us-gov", "aws-eusc"}


def test_the_file_is_sorted_and_lists_each_region_once() -> None:
    lines = (shipped.folder("reference") / "regions.csv").read_text(encoding="utf-8")
    keys = [tuple(line.split(",")[:2]) for line in lines.splitlines()[1:]]
    assert keys == sorted(set(keys))


def test_every_region_has_an_id_and_a_name_of_a_provider_there_is() -> None:
    table = regions.table()
    assert table.null_count().sum_horizontal().item() == 0
    assert table.with_columns(pl.all().str.strip_chars()).equals(table)
    assert set(table["provider"]) <= {*registry.PROVIDERS, *TO_COME}


def test_aws_regions_are_called_as_aws_calls_them() -> None:
    partitions = botocore.session.Session().get_data("endpoints")["partitions"]
    said = {
        region: facts["description"]
        for partition in partitions
        if partition["partition"] in PUBLIC_AWS
        for region, facts in partition["regions"].items()
    }
    assert regions.names("aws") == said


def test_azure_ids_are_their_names_without_spaces() -> None:
    names = regions.names("azure")
    assert all(name.lower().replace(" ", "") == region for region, name in names.items())


@pytest.mark.parametrize(
    ("provider", "region", "name"),
    [
        ("aws", "us-west-2", "US West (Oregon)"),
        ("azure", "westeurope", "West Europe"),
        ("gcp", "us-central1", "Iowa"),
        ("lambda_labs", "us-south-1", "Texas, USA"),
        ("aws", "xx-north-9", None),
        ("nobody", "us-west-2", None),
    ],
)
def test_names_are_looked_up(provider: str, region: str, name: str | None) -> None:
    row = pl.DataFrame({"RegionId": [region]})
    made = row.select(regions.column(provider, pl.col("RegionId")))
    assert made.rows(named=True) == [{"RegionName": name}]


def test_a_name_that_is_given_stays() -> None:
    rows = pl.DataFrame(
        {
            "RegionId": ["us-west-2", "us-west-2", "us-west-2", None, "xx-north-9"],
            "RegionName": ["Here", "", None, "Somewhere", "There"],
        }
    )
    made = rows.select(regions.column("aws", pl.col("RegionId"), pl.col("RegionName")))
    assert made["RegionName"].to_list() == [
        "Here",
        "US West (Oregon)",
        "US West (Oregon)",
        "Somewhere",
        "There",
    ]
