"""Headers (`finops-batch/1`): one small signed object a batch, chained and the log's leaves."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from finops.errors import LedgerError
from finops.ledger import canonical, tree
from finops.ledger.canonical import Json
from finops.ledger.note import SigningKey, VerifierKey, unbase64
from finops.ledger.schema import SCHEMA_DIGEST

VERSION: Final = "finops-batch/1"
BYTES_MAX: Final = 16 * 1024
GENESIS: Final = "genesis"
ALLOC: Final = "alloc"
CORRECT: Final = "correct"
NO_ROWS_ROOT: Final = tree.EMPTY_ROOT.hex()

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_KEYS = {
    *("v", "index", "prev", "kind", "idem", "rows", "rows_root", "segment", "leaves", "schema"),
    *("control", "manifest", "rules", "code", "run", "time", "sig"),
}
_GENESIS_KEYS = _KEYS | {"origin", "trust"}


@dataclass(frozen=True, slots=True)
class Control:
    """Control totals of one currency in a batch, money as counts of 10⁻¹⁸ of it.

    `billed` is `allocated` plus `unallocated`; reversals count negative.
    """

    rows: int
    billed: int
    allocated: int
    unallocated: int


@dataclass(frozen=True, slots=True)
class Genesis:
    """What only the first header holds: the ledger's name, and the digest of its trusted keys."""

    origin: str
    trust: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules a batch was made by.

    The digest of their text, and its version in this ledger: 1 is the first text used, 2 the
    second, and so on.
    """

    digest: str
    version: int


@dataclass(frozen=True, slots=True)
class Making:
    """By what code, in which run and when (RFC 3339, UTC) a batch was made."""

    code_version: str
    run_id: str
    flow_run_id: str | None
    time: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header; `content` is its exact bytes. Digests and roots are lower-case hex."""

    index: int
    prev: str | None
    kind: str
    idem: str | None
    rows: int
    rows_root: str
    segment: str | None
    leaves: str | None
    schema: str
    control: Mapping[str, Control]
    manifest: str | None
    rules: Rules | None
    made: Making
    genesis: Genesis | None = None
    content: bytes = b""

    @property
    def digest(self) -> str:
        """SHA-256 of the header's bytes: what the next header's `prev` holds."""
        return canonical.digest(self.content)

    def signed(self, key: SigningKey) -> "Header":
        """Return the header as `key` signs it, read back from the bytes to be stored."""
        claims = _claims(self)
        try:
            signature = key.sign(canonical.encode(claims))
        except ValueError as error:
            raise LedgerError(
                f"the header of batch {self.index} {error}; give plain text"
            ) from None
        claims["sig"] = base64.b64encode(signature).decode()
        content = canonical.encode(claims)
        if len(content) > BYTES_MAX:
            raise LedgerError(
                f"the header of batch {self.index} has {len(content)} bytes, more than "
                f"{BYTES_MAX}; put fewer currencies into one batch"
            )
        return parse(content)


def key_of(index: int) -> str:
    """Name the object that holds header `index`."""
    return f"ledger/log/{index:012d}"


def instant(now: datetime) -> str:
    """Write an instant as RFC 3339 in UTC, to the second; raises `LedgerError` without a zone."""
    if now.tzinfo is None:
        raise LedgerError(f"the time {now} has no zone; give it in UTC")
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def genesis(origin: str, trust: str, made: Making) -> Header:
    """Make the unsigned first header of a ledger; `trust` is the digest of its `trust.json`."""
    return Header(
        index=0,
        prev=None,
        kind=GENESIS,
        idem=None,
        rows=0,
        rows_root=NO_ROWS_ROOT,
        segment=None,
        leaves=None,
        schema=SCHEMA_DIGEST,
        control={},
        manifest=None,
        rules=None,
        made=made,
        genesis=Genesis(origin, trust),
    )


def parse(content: bytes) -> Header:
    """Read a header; raises `ValueError` when it is not one, in every byte."""
    if len(content) > BYTES_MAX:
        raise ValueError(f"is larger than {BYTES_MAX} bytes")
    claims = canonical.decode(content)
    first = claims.get("kind") == GENESIS
    canonical.object_of(claims, _GENESIS_KEYS if first else _KEYS)
    if claims["v"] != VERSION or claims["kind"] not in {GENESIS, ALLOC, CORRECT}:
        raise ValueError(f"is not a {VERSION} header of a known kind")
    if not _TIME.fullmatch(canonical.text_of(claims["time"])):
        raise ValueError("has a malformed time")
    unbase64(canonical.text_of(claims["sig"]))
    return _genesis(claims, content) if first else _batch(claims, content)


def is_signed(header: Header, keys: list[VerifierKey]) -> bool:
    """Tell whether one of `keys` signed the header."""
    claims = canonical.decode(header.content)
    signature = unbase64(canonical.text_of(claims.pop("sig")))
    message = canonical.encode(claims)
    return any(key.verifies(signature, message) for key in keys)


def _claims(header: Header) -> dict[str, Json]:
    """Lay the header out as JSON, all but the signature."""
    claims: dict[str, Json] = {
        "v": VERSION,
        "index": str(header.index),
        "prev": header.prev,
        "kind": header.kind,
        "idem": header.idem,
        "rows": str(header.rows),
        "rows_root": header.rows_root,
        "segment": header.segment,
        "leaves": header.leaves,
        "schema": header.schema,
        "control": {name: _totals(control) for name, control in header.control.items()},
        "manifest": header.manifest,
        "rules": None if header.rules is None else _rules(header.rules),
        "code": {"version": header.made.code_version},
        "run": {"flow_run_id": header.made.flow_run_id, "id": header.made.run_id},
        "time": header.made.time,
    }
    if header.genesis is not None:
        claims |= {"origin": header.genesis.origin, "trust": header.genesis.trust}
    return claims


def _rules(rules: Rules) -> dict[str, Json]:
    return {"digest": rules.digest, "version": str(rules.version)}


def _totals(control: Control) -> dict[str, Json]:
    return {
        "rows": str(control.rows),
        "billed": str(control.billed),
        "allocated": str(control.allocated),
        "unallocated": str(control.unallocated),
    }


def _genesis(claims: dict[str, Json], content: bytes) -> Header:
    origin, trust = canonical.text_of(claims["origin"]), canonical.digest_of(claims["trust"])
    header = replace(genesis(origin, trust, _making(claims)), content=content)
    if {**_claims(header), "sig": claims["sig"]} != claims:
        raise ValueError("is a genesis header with something before it, rows or another schema")
    return header


def _batch(claims: dict[str, Json], content: bytes) -> Header:
    rules = canonical.object_of(claims["rules"], {"digest", "version"})
    control = canonical.object_of(claims["control"])
    return Header(
        index=canonical.count_of(claims["index"]),
        prev=canonical.digest_of(claims["prev"]),
        kind=canonical.text_of(claims["kind"]),
        idem=canonical.digest_of(claims["idem"]),
        rows=canonical.count_of(claims["rows"]),
        rows_root=canonical.digest_of(claims["rows_root"]),
        segment=canonical.digest_of(claims["segment"]),
        leaves=canonical.digest_of(claims["leaves"]),
        schema=canonical.digest_of(claims["schema"]),
        control={name: _control(totals) for name, totals in control.items()},
        manifest=canonical.digest_of(claims["manifest"]),
        rules=Rules(canonical.digest_of(rules["digest"]), canonical.count_of(rules["version"])),
        made=_making(claims),
        content=content,
    )


def _making(claims: dict[str, Json]) -> Making:
    code = canonical.object_of(claims["code"], {"version"})
    run = canonical.object_of(claims["run"], {"flow_run_id", "id"})
    flow_run_id = run["flow_run_id"]
    return Making(
        code_version=canonical.text_of(code["version"]),
        run_id=canonical.text_of(run["id"]),
        flow_run_id=None if flow_run_id is None else canonical.text_of(flow_run_id),
        time=canonical.text_of(claims["time"]),
    )


def _control(totals: Json) -> Control:
    named = canonical.object_of(totals, {"rows", "billed", "allocated", "unallocated"})
    return Control(
        rows=canonical.count_of(named["rows"]),
        billed=canonical.number_of(named["billed"]),
        allocated=canonical.number_of(named["allocated"]),
        unallocated=canonical.number_of(named["unallocated"]),
    )
