"""Reading an AWS data export where it lies: in a bucket, or in a folder laid out the same."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore.config import Config

from finops.errors import ProviderError, Terminal, Transient

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
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
_BLOCK_BYTES = 1 << 20
_LOG_IN = (
    "set AWS_PROFILE or the source's 'profile', log in again (aws sso login), or run where an "
    "instance role is present"
)


class Gone(Exception):
    """The object is not there, or not any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store says of an object: address, ETag, time of its last change (RFC 3339)."""

    uri: str
    etag: str = ""
    modified_at: str = ""


class FolderExport:
    """An export copied to a folder."""

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root

    def folders(self, path: str) -> list[str]:
        """List the names of the folders directly in `path`; none when it does not exist."""
        folder = self._root / path
        return sorted(each.name for each in folder.glob("*") if each.is_dir())

    def read(self, path: str) -> tuple[bytes, Stored]:
        """Return a file's bytes; raises `Gone` when it is missing."""
        try:
            return (self._root / path).read_bytes(), Stored(self._uri(path))
        except FileNotFoundError:
            raise Gone(path) from None
        except OSError as error:
            raise self._refusal(path, error) from error

    def download(self, path: str, to: Path) -> Stored:
        """Copy a file; raises `Gone` when it is missing."""
        try:
            shutil.copyfile(self._root / path, to)
        except FileNotFoundError:
            raise Gone(path) from None
        except OSError as error:
            raise self._refusal(path, error) from error
        return Stored(self._uri(path))

    def _uri(self, path: str) -> str:
        # Not the absolute path: the same export gives the same receipts on every machine.
        return f"{self._root.name}/{path}"

    def _refusal(self, path: str, error: OSError) -> Terminal:
        return Terminal(
            f"{self._root / path}: cannot be read ({error.strerror or error}); check the "
            f"folder's permissions"
        )


class BucketExport:
    """An export in S3: `s3://bucket/prefix/export-name`.

    Credentials, region and endpoint come from boto3's chain; `role_arn` is assumed with them.
    """

    def __init__(
        self, url: str, profile: str | None, region: str | None, role_arn: str | None
    ) -> None:
        self.url = url
        self._bucket, _, self._root = url.removeprefix("s3://").partition("/")
        try:
            session = boto3.Session(profile_name=profile, region_name=region)
            session = _assume(session, role_arn) if role_arn else session
            self._client = session.client(
                "s3", config=Config(retries={"mode": "standard", "max_attempts": 5})
            )
        except (aws.ClientError, aws.BotoCoreError) as error:
            raise _fault(url, error, f"sts:AssumeRole on {role_arn}") from error

    def folders(self, path: str) -> list[str]:
        """List the names of the folders directly in `path`; none when it does not exist."""
        prefix = f"{self._root}/{path}/"
        pages = self._client.get_paginator("list_objects_v2")
        try:
            return [
                str(entry["Prefix"]).removeprefix(prefix).rstrip("/")
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
                for entry in page.get("CommonPrefixes", ())
            ]
        except (aws.ClientError, aws.BotoCoreError) as error:
            raise self._fault(path, error) from error

    def read(self, path: str) -> tuple[bytes, Stored]:
        """Return an object's bytes; raises `Gone` when it is missing."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(path))
            return bytes(answer["Body"].read()), self._stored(path, answer)
        except (aws.ClientError, aws.BotoCoreError) as error:
            raise self._fault(path, error) from error

    def download(self, path: str, to: Path) -> Stored:
        """Copy an object to a file; raises `Gone` when it is missing."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(path))
            with to.open("wb") as file:
                for block in answer["Body"].iter_chunks(_BLOCK_BYTES):
                    file.write(block)
        except (aws.ClientError, aws.BotoCoreError) as error:
            raise self._fault(path, error) from error
        return self._stored(path, answer)

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _stored(self, path: str, answer: Any) -> Stored:
        modified_at = answer["LastModified"].isoformat()
        return Stored(f"{self.url}/{path}", str(answer["ETag"]).strip('"'), modified_at)

    def _fault(self, path: str, error: Exception) -> ProviderError | Gone:
        if _code(error) in _MISSING:
            return Gone(path)
        needs = f"s3:GetObject on {self._bucket}/{self._root}/* and s3:ListBucket on {self._bucket}"
        return _fault(f"{self.url}/{path}", error, needs)


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


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, aws.ClientError) else ""


def _fault(place: str, error: Exception, needs: str) -> ProviderError:
    """Say in plain words what AWS refused, and whether another try may help."""
    if isinstance(error, _LOST) or _is_busy(error):
        return Transient(
            f"{place}: S3 did not answer as it should ({error}); check the network, or wait for "
            f"the next run"
        )
    return Terminal(f"{place}: {_refusal(error, needs)}")


def _refusal(error: Exception, needs: str) -> str:
    code = _code(error)
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
    return f"{error}; check the source's settings and the bucket's policy"


def _is_busy(error: Exception) -> bool:
    if not isinstance(error, aws.ClientError):
        return False
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return _code(error) in _THROTTLED or status >= _SERVER_FAULT
