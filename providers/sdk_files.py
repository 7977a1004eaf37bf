"""Where reported events lie: a folder, or a bucket with a prefix."""

import os
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from finops.errors import ProviderError, Terminal, Transient

SUFFIXES = (".jsonl", ".jsonl.gz")
_GZIP = 31
"""zlib's window bits that mean: gzip, of any window."""
_TOO_MANY, _SERVER_FAULT = 429, 500


class Files(Protocol):
    """Files of events by name; failures raise `ProviderError`."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...

    def replace(self, name: str, content: bytes) -> None:
        """Put a file, over an older one if need be; when this returns, it is there whole."""
        ...


class Folder:
    """A folder and what is below it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        """List the files, in order; raises `Terminal` when there is no such folder."""
        if not self._root.is_dir():
            raise Terminal(f"{self._root}: there is no such folder; correct 'path', or make it")
        found = [file for file in self._root.rglob("*") if file.name.endswith(SUFFIXES)]
        return sorted(file.relative_to(self._root).as_posix() for file in found if file.is_file())

    def read(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise Terminal(
                f"{self._root / name}: cannot be read ({error.strerror or error}); grant read access"
            ) from None

    def replace(self, name: str, content: bytes) -> None:
        """Put a file; raises `Terminal` when it cannot be written, and the older one stays."""
        made = self._root / f".{name}.{os.getpid()}.tmp"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with made.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._root / name)
        except OSError as error:
            with suppress(OSError):
                made.unlink()
            raise Terminal(
                f"{self._root / name}: cannot be written ({error.strerror or error}); free some "
                f"space or grant write access"
            ) from None


class Bucket:
    """`s3://bucket/prefix`; credentials, region and endpoint come from boto3's chain."""

    def __init__(self, url: str) -> None:
        import boto3  # late: it takes 0.2 s to import
        from botocore.config import Config

        self._url = url.rstrip("/")
        self._bucket, _, prefix = self._url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        with _faults_of_s3(self._url):
            session = boto3.Session()
            self._client = session.client("s3", config=Config(retries={"mode": "standard"}))

    def names(self) -> list[str]:
        """List the files, in order."""
        pages = self._client.get_paginator("list_objects_v2")
        with _faults_of_s3(self._url):
            keys = [
                str(entry["Key"])
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix)
                for entry in page.get("Contents", ())
            ]
        return sorted(key.removeprefix(self._prefix) for key in keys if key.endswith(SUFFIXES))

    def replace(self, name: str, content: bytes) -> None:
        with _faults_of_s3(f"{self._url}/{name}", "s3:PutObject"):
            self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}{name}", Body=content)

    def read(self, name: str) -> bytes:
        with _faults_of_s3(f"{self._url}/{name}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}{name}")
            with closing(answer["Body"]) as body:
                return bytes(body.read())


def opened(base: Path, path: str) -> Files:
    """Open `path`: `s3://bucket/prefix`, or a folder relative to `base`."""
    return Bucket(path) if path.startswith("s3://") else Folder(base / path)


def plain(name: str, content: bytes) -> tuple[bytes, bool]:
    """Uncompress a `.gz` file as far as it goes, and tell whether it went to its end.

    A process that still writes, or died writing, leaves a gzip file without end.
    """
    if not name.endswith(".gz"):
        return content, True
    text, rest = b"", content
    while rest:
        member = zlib.decompressobj(_GZIP)
        try:
            text += member.decompress(rest)
        except zlib.error:
            return text, False
        if not member.eof:
            return text + member.flush(), False
        rest = member.unused_data
    return text, True


@contextmanager
def _faults_of_s3(place: str, needed: str = "s3:ListBucket and s3:GetObject") -> Iterator[None]:
    """Turn faults of S3 into ours."""
    from botocore import exceptions as aws

    try:
        yield
    except (aws.ClientError, aws.BotoCoreError) as error:
        lost = isinstance(error, aws.HTTPClientError | aws.ConnectionError)
        raise _fault(place, error, needed, is_lost=lost) from error


def _fault(place: str, error: Any, needed: str, *, is_lost: bool) -> ProviderError:
    told = getattr(error, "response", {}).get("ResponseMetadata", {})
    status = int(told.get("HTTPStatusCode", 0))
    if is_lost or status == _TOO_MANY or status >= _SERVER_FAULT:
        return Transient(f"{place}: {error}; check the network, or wait for the next run")
    return Terminal(
        f"{place}: {error}; check the name, and grant {needed} to the credentials in use"
    )
