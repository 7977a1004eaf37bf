"""Access to AWS: credentials, clients, and faults in plain words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore import exceptions as aws
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.response import StreamingBody

from finops.errors import ProviderError, Terminal, Transient
from providers import http
from providers.http import Reply

T = TypeVar("T")

_DENIED = frozenset({"403", "AccessDenied", "AllAccessDisabled", "AccessDeniedException"})
_BAD_KEYS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_WRONG_REGION = frozenset({"301", "PermanentRedirect", "AuthorizationHeaderMalformed"})
_THROTTLED = frozenset({"RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException"})
_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.ProfileNotFound,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)
_LOST = (
    aws.HTTPClientError,
    aws.ConnectionError,
    aws.IncompleteReadError,
    aws.PaginationError,
    aws.ResponseStreamingError,
    ResponseParserError,
)
_SERVER_FAULT = 500
_TOO_MANY = 429
FAULTS = (aws.ClientError, aws.BotoCoreError, ResponseParserError)
"""What a client of AWS raises."""
_LOG_IN = (
    "set AWS_PROFILE or the source's 'profile', log in again (aws sso login), or run where an "
    "instance role is present"
)


@dataclass(frozen=True, slots=True)
class Access:
    """Whose credentials to use: those of boto3's chain, of `profile` if given.

    `role_arn` is assumed with them if given; region and endpoint come from the chain too.
    """

    profile: str | None = None
    region: str | None = None
    role_arn: str | None = None

    def client(self, service: str, place: str) -> Any:
        """Make a client; `place` is what messages call what it is for."""
        try:
            session = boto3.Session(profile_name=self.profile, region_name=self.region)
            session = _assume(session, self.role_arn) if self.role_arn else session
            seconds = http.PACE.timeout_seconds
            # `patiently` tries again: it also knows what breaks off while a body is read.
            once = Config(
                retries={"total_max_attempts": 1}, connect_timeout=seconds, read_timeout=seconds
            )
            client = session.client(service, config=once)
        except (aws.ClientError, aws.BotoCoreError) as error:
            raise fault(place, error, f"sts:AssumeRole on {self.role_arn}") from error
        client.meta.events.register("before-parse.s3", _refuse_pages)
        return client


def patiently(call: Callable[[], T], place: str, needs: str) -> T:
    """Call AWS, and again while the fault may pass; faults of AWS become ours.

    `place` is what messages call what was asked for, and `needs` the permission it takes.
    """
    for attempt in range(1, http.ATTEMPTS + 1):
        try:
            return call()
        except FAULTS as error:
            said = fault(place, error, needs, f" in try {attempt} of {http.ATTEMPTS}")
            if isinstance(said, Terminal) or attempt == http.ATTEMPTS:
                raise said from error
            pause = http.pause_seconds(http.PACE, attempt, _asked_to_wait(error))
            http.PACE.sleep(pause)
    raise AssertionError("the last try raised")


def _refuse_pages(response_dict: Mapping[str, Any], **_: object) -> None:
    """Refuse a web page: a proxy or a login stands in between."""
    kind = response_dict["headers"].get("content-type", "")
    # botocore has made a 500 of a 200 by now whose body is not what S3 would say.
    if response_dict["status_code"] in {200, 500} and kind.startswith("text/html"):
        if isinstance(response_dict["body"], StreamingBody):
            response_dict["body"].close()
        raise Transient(
            f"AWS answered with {kind} instead of what was asked for; a proxy or login page may "
            f"stand in between"
        )


def _asked_to_wait(error: Exception) -> float:
    if not isinstance(error, aws.ClientError):
        return 0.0
    metadata = error.response.get("ResponseMetadata", {})
    headers = {name.lower(): value for name, value in metadata.get("HTTPHeaders", {}).items()}
    status = int(metadata.get("HTTPStatusCode", 0))
    return http.wait_seconds(Reply("", {}, status, headers, b""))


def _assume(session: "boto3.Session", role_arn: str) -> "boto3.Session":
    granted = session.client("sts").assume_role(
        RoleArn=role_arn, RoleSessionName="terradev-finops"
    )["Credentials"]
    return boto3.Session(
        aws_access_key_id=granted["AccessKeyId"],
        aws_secret_access_key=granted["SecretAccessKey"],
        aws_session_token=granted["SessionToken"],
        region_name=session.region_name,
    )


def error_code(error: Exception) -> str:
    """Give AWS's code of an error, such as `AccessDenied`; empty for a fault of the network."""
    return str(error.response["Error"]["Code"]) if isinstance(error, aws.ClientError) else ""


def fault(place: str, error: Exception, needs: str, tried: str = "") -> ProviderError:
    """Say in plain words what AWS refused, and whether another try may help."""
    if isinstance(error, _LOST) or _is_busy(error):
        return Transient(
            f"{place}: AWS did not answer as it should ({error}){tried}; check the network, or "
            f"wait for the next run"
        )
    return Terminal(f"{place}: {_refusal(error, needs)}")


def _refusal(error: Exception, needs: str) -> str:
    code = error_code(error)
    if code in _DENIED:
        return f"AWS denied access ({code}); grant {needs} to the credentials in use"
    if code in _BAD_KEYS:
        return f"AWS does not accept the credentials ({code}); {_LOG_IN}"
    if code == "NoSuchBucket":
        return f"there is no such bucket ({code}); correct its name in the source's settings"
    if code in _WRONG_REGION:
        return "the bucket is in another region; set the source's 'region', or AWS_DEFAULT_REGION"
    if isinstance(error, _NO_CREDENTIALS):
        return f"no usable AWS credentials ({error}); {_LOG_IN}"
    return f"{error}; check the source's settings and the policies in AWS"


def _is_busy(error: Exception) -> bool:
    if not isinstance(error, aws.ClientError):
        return False
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return error_code(error) in _THROTTLED or status == _TOO_MANY or status >= _SERVER_FAULT
