"""A bucket that holds FOCUS files: its keys, and copies of its objects."""

from pathlib import Path

from providers import aws_s3
from providers.aws_access import Access, patiently

_BLOCK_BYTES = 1 << 20


class Bucket:
    """The bucket of `s3://bucket/prefix/`; `source` is who messages say asks."""

    def __init__(self, url: str, source: str) -> None:
        self.name, _, self.prefix = url.removeprefix("s3://").partition("/")
        self._place = f"{source}: {url}"
        self._client = Access().client("s3", self._place)

    def keys(self) -> list[str]:
        """List every key that begins with the prefix; raises `Terminal` or `Transient`."""

        def listed() -> list[str]:
            pages = self._client.get_paginator("list_objects_v2")
            return [
                str(entry["Key"])
                for page in pages.paginate(Bucket=self.name, Prefix=self.prefix)
                for entry in aws_s3.whole(page, self._place).get("Contents", ())
            ]

        return patiently(listed, self._place, f"s3:ListBucket on {self.name}")

    def download(self, key: str, to: Path) -> None:
        """Copy an object to a file; raises `Terminal` or `Transient`."""

        def copied() -> None:
            answer = self._client.get_object(Bucket=self.name, Key=key)
            with to.open("wb") as file:
                for block in answer["Body"].iter_chunks(_BLOCK_BYTES):
                    file.write(block)

        patiently(copied, f"{self._place}: {key}", f"s3:GetObject on {self.name}/{key}")
