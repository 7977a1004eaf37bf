"""What kind of resource AWS charges for, where its bill leaves that out.

AWS fills ResourceType for instances, volumes, buckets and little else, while FOCUS wants one for
every ResourceId. The id tells: an ARN names the type, EC2's and EMR's ids begin with a word of
their own, and what S3 bills by name is a bucket. Other ids tell nothing, and stay without a type.
"""

import polars as pl

_ARN_OF = r"^arn:[^:]+:([^:]+):"
_TYPE_IN_ARN = r"^arn:[^:]+:[^:]+:[^:]*:[^:]*:/?([A-Za-z][A-Za-z0-9-]*)[/:]."
_WITHOUT_TYPE_IN_ARN = {"s3": "bucket", "sns": "topic", "sqs": "queue"}
"""Services whose ARN goes on with a name at once."""

_PREFIX = r"^([a-z]+)-[0-9a-z]"
_BY_PREFIX = {
    "ami": "image",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "i": "instance",
    "nat": "natgateway",
    "snap": "snapshot",
    "tgw": "transit-gateway",
    "vol": "volume",
    "vpce": "vpc-endpoint",
    "vpn": "vpn-connection",
}
_S3, _EC2, _EMR = ("AmazonS3",), ("AmazonEC2", "AmazonVPC"), ("ElasticMapReduce",)
_ID, _TYPE, _SERVICE = "ResourceId", "ResourceType", "x_ServiceCode"


def with_types(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Fill ResourceType of FOCUS rows from their ResourceId; what AWS says itself stays."""
    schema = rows.collect_schema()
    if schema.get(_ID) != pl.String:
        return rows
    given = pl.lit(None, pl.String)
    if schema.get(_TYPE) == pl.String:
        given = pl.when(pl.col(_TYPE) != "").then(pl.col(_TYPE))
    service = pl.col(_SERVICE) if _SERVICE in schema else pl.lit(None, pl.String)
    return rows.with_columns(pl.coalesce(given, _told_by(pl.col(_ID), service)).alias(_TYPE))


def _told_by(resource: pl.Expr, service: pl.Expr) -> pl.Expr:
    is_arn = resource.str.starts_with("arn:")
    of_service = resource.str.extract(_ARN_OF).replace_strict(
        _WITHOUT_TYPE_IN_ARN, default=None, return_dtype=pl.String
    )
    of_prefix = resource.str.extract(_PREFIX).replace_strict(
        _BY_PREFIX, default=None, return_dtype=pl.String
    )
    return (
        pl.when(is_arn)
        .then(pl.coalesce(of_service, resource.str.extract(_TYPE_IN_ARN)))
        .when(service.is_in(_S3) & (resource != ""))
        .then(pl.lit("bucket"))
        .when(service.is_in(_EC2))
        .then(of_prefix)
        .when(service.is_in(_EMR) & resource.str.starts_with("j-"))
        .then(pl.lit("cluster"))
    )
