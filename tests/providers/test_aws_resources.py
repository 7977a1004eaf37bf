"""AWS resources: the type is told by the id, or not at all."""

import polars as pl
import pytest

from providers import aws_resources

BUCKET = "northlight-lake"


@pytest.mark.parametrize(
    ("resource", "service", "told"),
    [
        ("i-0a1b2c3d4e5f67890", "AmazonEC2", "instance"),
        ("vol-0a1b2c3d4e5f67890", "AmazonEC2", "volume"),
        ("eipalloc-0a1b", "AmazonVPC", "elastic-ip"),
        ("j-3NIGHTLYLAKE", "ElasticMapReduce", "cluster"),
        (BUCKET, "AmazonS3", "bucket"),
        ("i-am-a-bucket", "AmazonS3", "bucket"),
        ("arn:aws:ec2:eu-west-1:310000000011:natgateway/nat-0bb0", "AmazonEC2", "natgateway"),
        ("arn:aws:eks:us-west-2:310000000011:cluster/orion", "AmazonEKS", "cluster"),
        ("arn:aws:rds:us-west-2:310000000033:db:catalog", "AmazonRDS", "db"),
        ("arn:aws-cn:lambda:cn-north-1:310000000011:function:resize", "AWSLambda", "function"),
        ("arn:aws:cloudfront::310000000011:distribution/E1H6", "AmazonCloudFront", "distribution"),
        ("arn:aws:apigateway:us-west-2::/restapis/pg73/stages/a", "AmazonApiGateway", "restapis"),
        ("arn:aws:sqs:us-west-2:310000000011:jobs", "AWSQueueService", "queue"),
        ("arn:aws:sns:us-west-2:310000000011:alerts", "AmazonSNS", "topic"),
        ("arn:aws:s3:::northlight-lake/raw/a", "AmazonS3", "bucket"),
        ("arn:aws:new:us-west-2:310000000011:thing", "AmazonNew", None),
        ("unheard-0a1b", "AmazonEC2", None),
        ("i-0a1b", "AmazonWorkSpaces", None),
        ("i-0a1b", None, None),
        ("", "AmazonS3", None),
        (None, "AmazonS3", None),
    ],
)
def test_an_id_tells_its_type_or_nothing(
    resource: str | None, service: str | None, told: str | None
) -> None:
    schema = {"ResourceId": pl.String, "x_ServiceCode": pl.String}
    rows = pl.LazyFrame([{"ResourceId": resource, "x_ServiceCode": service}], schema=schema)
    assert aws_resources.with_types(rows).collect()["ResourceType"].to_list() == [told]


def test_what_aws_says_itself_stays() -> None:
    rows = pl.LazyFrame(
        {"ResourceId": ["i-0a", "i-0b"], "ResourceType": ["own", ""], "x_ServiceCode": "AmazonEC2"}
    )
    assert aws_resources.with_types(rows).collect()["ResourceType"].to_list() == ["own", "instance"]


def test_a_bill_without_resources_gets_no_types() -> None:
    assert aws_resources.with_types(pl.LazyFrame({"BilledCost": [1]})).collect().width == 1
