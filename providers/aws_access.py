"""Access to AWS: credentials, clients, and faults in plain words."""

from dataclasses import dataclass
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore.config import Config

from finops.errors import ProviderError, Terminal, Transient

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
_LOST = (aws.HTTPClientError, aws.ConnectionError, aws.IncompleteReadError)
_SERVER_FAULT = 500
_LOG_IN = (
    "set AWS_PROFILE or the source's 'profile', log in again (aws sso login), or run where an "
    "instance role is present"
)
_ATTEMPTS = 5


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
            retries = Config(retries={"mode": "standard", "max_attempts": _ATTEMPTS})
            return session.client(service, config=retries)
        except (aws.ClientError, aws.BotoCoreError) as error:
            raise fault(place, error, f"sts:AssumeRole on {self.role_arn}") from error


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


def fault(place: str, error: Exception, needs: str) -> ProviderError:
    """Say in plain words what AWS refused, and whether another try may help."""
    if isinstance(error, _LOST) or _is_busy(error):
        return Transient(
            f"{place}: AWS did not answer as it should ({error}); check the network, or wait for "
            f"the next run"
        )
    return Terminal(f"{place}: {_refusal(error, needs)}")


def _refusal(error: Exception, needs: str) -> str:
    code = error_code(error)
    if code in _DENIED:
        return f"AWS denied access; grant {needs} to the credentials in use"
    if code in _BAD_KEYS:
        return f"AWS does not accept the credentials ({code}); {_LOG_IN}"
    if code == "NoSuchBucket":
        return "there is no such bucket; correct the source's 'export'"
    if code in _WRONG_REGION:
        return "the bucket is in another region; set the source's 'region'"
    if isinstance(error, _NO_CREDENTIALS):
        return f"no usable AWS credentials ({error}); {_LOG_IN}"
    return f"{error}; check the source's settings and the policies in AWS"


def _is_busy(error: Exception) -> bool:
    if not isinstance(error, aws.ClientError):
        return False
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return error_code(error) in _THROTTLED or status >= _SERVER_FAULT
