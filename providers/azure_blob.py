"""Reading a Cost Management export where it lies: in Blob storage, or in a folder laid out alike."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

from finops.errors import Terminal
from providers import azure_access
from providers.azure_runs import Gone, Stored
from providers.paging import pages

Got = TypeVar("Got")

_ROLE = (
    "grant the role Storage Blob Data Reader on this container, and let the storage account's "
    "firewall admit this machine"
)
_CONNECTION_STRING_KEYS = ("accountname=", "blobendpoint=", "sharedaccesssignature=")


class FolderExport:
    """An export copied to a folder."""

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root

    @contextmanager
    def opened(self) -> Iterator["FolderExport"]:
        """Give the export itself: a folder needs no connection."""
        yield self

    def names(self) -> list[str]:
        """List all files below the export, by their path; none when it does not exist."""
        found = (path for path in self._root.rglob("*") if path.is_file())
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def read(self, path: str) -> tuple[bytes, Stored]:
        """Return a file's bytes; raises `Gone` when it is missing."""
        return self._got(path, lambda file: file.read_bytes())

    def download(self, path: str, to: Path) -> Stored:
        """Copy a file; raises `Gone` when it is missing."""
        return self._got(path, lambda file: shutil.copyfile(file, to))[1]

    def _got(self, path: str, get: Callable[[Path], Got]) -> tuple[Got, Stored]:
        # Not the absolute path: the same export gives the same receipts on every machine.
        stored = Stored(f"{self._root.name}/{path}")
        try:
            return get(self._root / path), stored
        except FileNotFoundError:
            raise Gone(path) from None
        except OSError as error:
            raise Terminal(
                f"{self._root / path}: cannot be read ({error.strerror or error}); check the "
                f"folder's permissions"
            ) from error


class BlobExport:
    """An export in Blob storage: `https://ACCOUNT.blob.core.windows.net/container/root/export`.

    `secret` is a shared access signature or a connection string; without one it is read as the
    identity at hand.
    """

    def __init__(self, url: str, secret: str | None) -> None:
        self.url = url
        self._account, self._container, self._root = _parts(url)
        self._secret = secret

    @contextmanager
    def opened(self) -> Iterator["BlobExport"]:
        """Connect while the block lasts; raises `Terminal` for a secret of another form."""
        with self._client() as self._connected:
            yield self

    def names(self) -> list[str]:
        """List all blobs below the export, by their path, to the last page or not at all."""
        listed = pages(self._page, self.url)
        prefix = f"{self._root}/"
        return [name.removeprefix(prefix) for page in listed for name in page]

    def read(self, path: str) -> tuple[bytes, Stored]:
        """Return a blob's bytes; raises `Gone` when it is missing."""
        with self._asking(path):
            answer = self._connected.download_blob(f"{self._root}/{path}")
            return bytes(answer.readall()), self._stored(path, answer)

    def download(self, path: str, to: Path) -> Stored:
        """Copy a blob to a file; raises `Gone` when it is missing, or changed half-way."""
        with self._asking(path), to.open("wb") as file:
            answer = self._connected.download_blob(f"{self._root}/{path}")
            answer.readinto(file)
            return self._stored(path, answer)

    def _page(self, token: str | None) -> tuple[list[str], str | None]:
        try:
            listed = self._connected.list_blob_names(name_starts_with=f"{self._root}/")
            page: Any = listed.by_page(continuation_token=token)
            names = list(next(page))
        except (AzureError, AttributeError) as error:
            # The client's XML reader stumbles over an empty listing.
            raise azure_access.fault(self.url, error, _ROLE) from None
        return names, page.continuation_token

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        try:
            yield
        except (ResourceNotFoundError, ResourceModifiedError):
            raise Gone(path) from None
        except (AzureError, ValueError) as error:
            raise azure_access.fault(f"{self.url}/{path}", error, _ROLE) from None

    def _stored(self, path: str, answer: Any) -> Stored:
        found = answer.properties
        changed_at = found.last_modified.isoformat() if found.last_modified else ""
        return Stored(f"{self.url}/{path}", str(found.etag or "").strip('"'), changed_at)

    def _client(self) -> ContainerClient:
        arguments = azure_access.clients(self.url)
        if self._secret is None:
            if not self.url.startswith("https://"):
                raise Terminal(
                    f"{self.url}: an identity's token is only sent over https; set the source's "
                    f"credential_env"
                )
            identity = azure_access.identity()
            return ContainerClient(self._account, self._container, identity, **arguments)
        try:
            if _is_connection_string(self._secret):
                return ContainerClient.from_connection_string(
                    self._secret, self._container, **arguments
                )
            signature = self._secret.removeprefix("?")
            return ContainerClient(self._account, self._container, signature, **arguments)
        except ValueError:
            raise Terminal(
                f"{self.url}: the secret is neither a shared access signature (sv=…&sig=…) nor a "
                f"connection string; copy it again"
            ) from None


def _is_connection_string(secret: str) -> bool:
    return any(part.lower().startswith(_CONNECTION_STRING_KEYS) for part in secret.split(";"))


def _parts(url: str) -> tuple[str, str, str]:
    """Split an export's address into account, container and the path below it.

    An emulator on this machine has the account in the path instead of the host name.
    """
    place = urlsplit(url)
    folders = place.path.strip("/").split("/")
    in_path = 1 if azure_access.is_loopback(url) else 0
    account = "/".join([f"{place.scheme}://{place.netloc}", *folders[:in_path]])
    return account, folders[in_path], "/".join(folders[in_path + 1 :])
