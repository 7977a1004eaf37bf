"""The warehouse in an S3 bucket: `s3://bucket/prefix`.

Credentials, region and endpoint come from boto3's own chain (`AWS_PROFILE`,
`AWS_ENDPOINT_URL_S3`, an instance role, …). `create` is one `PUT` with `If-None-Match: *`; a
store that ignores that header is refused before anything is written, because two writers could
both believe they made an object. So is one that does not permit all that a run needs: found in
its middle, a missing permission would leave half of it.
"""

import functools
import hashlib
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from finops.errors import WarehouseError

_MISSING = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"412", "PreconditionFailed"}
_BUSY = {"409", "ConditionalRequestConflict"}
_ATTEMPTS = 5
_PROBED: set[tuple[str, str]] = set()
"""The stores that may be used, as this process has found."""
_OPENING = threading.Lock()
"""Clients may be used by several threads, but not made by them at once."""


class S3Warehouse:
    """A `Warehouse` below `s3://bucket/prefix`."""

    def __init__(self, url: str) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self.url = url.rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._cache = Path(_downloads().name) / hashlib.sha256(self.url.encode()).hexdigest()[:12]
        retries = Config(retries={"mode": "standard", "max_attempts": _ATTEMPTS})
        try:
            with _OPENING:
                self._client = boto3.client("s3", config=retries)
        except (BotoCoreError, ValueError) as error:
            raise WarehouseError(
                f"cannot open {self.url}: {error}; check AWS_PROFILE, AWS_ENDPOINT_URL_S3 and the "
                f"region"
            ) from error

    def read(self, key: str) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            with closing(answer["Body"]) as body:
                return bytes(body.read())
        except (ClientError, BotoCoreError) as error:
            raise self._fault("read", key, error) from error

    def exists(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except (ClientError, BotoCoreError) as error:
            fault = self._fault("read", key, error)
            if isinstance(fault, KeyError):
                return False
            raise fault from error
        return True

    def list(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(self._prefix)
        except (ClientError, BotoCoreError) as error:
            raise self._fault("list", prefix, error) from error

    def replace(self, key: str, content: bytes | Path) -> None:
        self._probe()
        try:
            if isinstance(content, Path):
                self._client.upload_file(str(content), self._bucket, self._prefix + key)
            else:
                self._put(key, content)
        except (ClientError, BotoCoreError, boto3.exceptions.S3UploadFailedError) as error:
            raise self._fault("write", key, error) from error

    def adopt(self, key: str, path: Path) -> None:
        self.replace(key, path)
        path.unlink()

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="finops-") as folder:
            yield Path(folder)

    def create(self, key: str, content: bytes) -> bool:
        self._probe()
        return self._create(key, content)

    def move(self, key: str, to: str) -> bool:
        source = {"Bucket": self._bucket, "Key": self._prefix + key}
        try:
            self._client.copy(source, self._bucket, self._prefix + to)
        except (ClientError, BotoCoreError) as error:
            fault = self._fault("write", to, error)
            if isinstance(fault, KeyError):
                return False
            raise fault from error
        self.delete(key)
        return True

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        except (ClientError, BotoCoreError) as error:
            raise self._fault("delete", key, error) from error

    def local(self, key: str) -> Path:
        """Download afresh: an object may have been replaced since it was last read."""
        path = self._cache / key
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            self._client.download_file(self._bucket, self._prefix + key, str(temporary))
            temporary.replace(path)
        except (ClientError, BotoCoreError) as error:
            raise self._fault("read", key, error) from error
        except OSError as error:
            raise WarehouseError(
                f"cannot write {temporary}: {error.strerror or error}; free some space there, or "
                f"set TMPDIR to a folder that has it"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def _put(self, key: str, content: bytes, **conditions: str) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + key, Body=content, **conditions
        )

    def _create(self, key: str, content: bytes) -> bool:
        for _ in range(_ATTEMPTS):
            try:
                self._put(key, content, IfNoneMatch="*")
            except ClientError as error:
                code = str(error.response["Error"]["Code"])
                if code in _TAKEN:
                    # A retried request may have met its own first try.
                    return False
                if code not in _BUSY:
                    raise self._fault("write", key, error) from error
            except BotoCoreError as error:
                raise self._fault("write", key, error) from error
            else:
                return True
        raise WarehouseError(
            f"cannot write {self.url}/{key}: other writers keep it busy; try again in a minute"
        )

    def _probe(self) -> None:
        """Refuse a store that ignores `If-None-Match`, or permits less than everything.

        Once in a process: what is permitted is not changed every minute.
        """
        account = (self.url, self._client.meta.endpoint_url)
        if account in _PROBED:
            return
        key = f".probe-{uuid.uuid4().hex}"
        next(self.list(key), None)
        try:
            if not self._create(key, b"1") or self._create(key, b"2"):
                raise WarehouseError(
                    f"{self.url}: this store ignores 'If-None-Match: *', so two writers could "
                    f"overwrite each other's ledger; use one that honours it (AWS S3 does)"
                )
            self.read(key)
        finally:
            self.delete(key)
        _PROBED.add(account)

    def _fault(self, verb: str, key: str, error: Exception) -> WarehouseError | KeyError:
        if isinstance(error, boto3.exceptions.S3UploadFailedError):
            cause = error.__context__  # what S3 answered; the error itself is only its text
            error = cause if isinstance(cause, ClientError) else error
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if code in _MISSING:
            return KeyError(key)
        place = f"{self.url}/{key}"
        if code in {"403", "AccessDenied"}:
            return WarehouseError(
                f"cannot {verb} {place}: access denied; grant s3:GetObject, s3:PutObject, "
                f"s3:DeleteObject and s3:ListBucket on this bucket to the credentials in use"
            )
        if code == "NoSuchBucket":
            return WarehouseError(f"cannot {verb} {place}: the bucket does not exist; create it")
        return WarehouseError(
            f"cannot {verb} {place}: {error}; check the network, AWS_ENDPOINT_URL, the region and "
            f"the credentials, then run it again"
        )


@functools.cache
def _downloads() -> "tempfile.TemporaryDirectory[str]":
    """Hold downloaded objects until the process ends: lazy tables read from them later."""
    return tempfile.TemporaryDirectory(prefix="finops-downloads-")
