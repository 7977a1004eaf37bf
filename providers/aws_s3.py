"""Reading an AWS data export where it lies: in a bucket, or in a folder laid out the same."""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from botocore import exceptions as aws

from finops.errors import Terminal, Transient
from providers.aws_access import Access, error_code, patiently

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_BLOCK_BYTES = 1 << 20


T = TypeVar("T")


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
    """An export in S3: `s3://bucket/prefix/export-name`."""

    def __init__(self, url: str, access: Access) -> None:
        self.url = url
        self._bucket, _, self._root = url.removeprefix("s3://").partition("/")
        self._client = access.client("s3", url)

    def folders(self, path: str) -> list[str]:
        """List the names of the folders directly in `path`; none when it does not exist."""
        prefix = "/".join(filter(None, (self._root, path))) + "/"

        def listed() -> list[str]:
            pages = self._client.get_paginator("list_objects_v2")
            return [
                str(entry["Prefix"]).removeprefix(prefix).rstrip("/")
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
                for entry in whole(page, f"{self.url}/{path}").get("CommonPrefixes", ())
            ]

        return self._patiently(listed, path)

    def read(self, path: str) -> tuple[bytes, Stored]:
        """Return an object's bytes; raises `Gone` when it is missing."""

        def got() -> tuple[bytes, Stored]:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(path))
            with closing(answer["Body"]) as body:
                return bytes(body.read()), self._stored(path, answer)

        return self._patiently(got, path)

    def download(self, path: str, to: Path) -> Stored:
        """Copy an object to a file; raises `Gone` when it is missing."""

        def copied() -> Stored:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(path))
            with closing(answer["Body"]) as body, to.open("wb") as file:
                for block in body.iter_chunks(_BLOCK_BYTES):
                    file.write(block)
            return self._stored(path, answer)

        return self._patiently(copied, path)

    def _patiently(self, call: Callable[[], T], path: str) -> T:
        def asked() -> T:
            try:
                return call()
            except aws.ClientError as error:
                if error_code(error) in _MISSING:
                    raise Gone(path) from error
                raise

        needs = f"s3:GetObject on {self._bucket}/{self._root}/* and s3:ListBucket on {self._bucket}"
        return patiently(asked, f"{self.url}/{path}", needs)

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _stored(self, path: str, answer: Any) -> Stored:
        modified_at = answer["LastModified"].isoformat() if "LastModified" in answer else ""
        return Stored(f"{self.url}/{path}", str(answer.get("ETag", "")).strip('"'), modified_at)


def whole(page: dict[str, Any], place: str) -> dict[str, Any]:
    """Refuse a page of a listing that does not say whether it is the last one."""
    if "IsTruncated" not in page:
        raise Transient(f"{place}: the listing is no complete document; try again")
    return page
