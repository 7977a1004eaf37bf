import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finops.errors import ConfigError, WarehouseError
from finops.warehouse import open_warehouse
from finops.warehouse.local import LocalWarehouse
from tests.finops.company import opened, snapshot

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("url", ["gs://bucket", "file:///tmp/x", "http://example.com"])
def test_an_unknown_address(url: str) -> None:
    with pytest.raises(ConfigError, match=r"is neither a folder nor s3://bucket/prefix"):
        open_warehouse(url)


def test_a_folder_is_relative_to_the_configuration(tmp_path: Path) -> None:
    opened = open_warehouse("./here", tmp_path)
    opened.replace("a/b", b"1")
    assert (tmp_path / "here" / "a" / "b").read_bytes() == b"1"


def test_what_is_not_there(warehouse: LocalWarehouse) -> None:
    with pytest.raises(KeyError, match="a/b"):
        warehouse.read("a/b")
    with pytest.raises(KeyError, match="a/b"):
        warehouse.local("a/b")
    assert not warehouse.exists("a/b")
    assert not warehouse.move("a/b", "c")
    warehouse.delete("a/b")
    assert list(warehouse.list("")) == []


def test_a_file_where_a_folder_should_be(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    warehouse.replace("a", b"1")
    source = tmp_path / "source"
    source.write_bytes(b"2")
    for attempt in (
        lambda: warehouse.replace("a/b", b"2"),
        lambda: warehouse.create("a/b", b"2"),
        lambda: warehouse.adopt("a/b", source),
        lambda: warehouse.move("a", "a/b"),
        lambda: warehouse.read("a/b"),
    ):
        with pytest.raises(WarehouseError, match=r"cannot (read|write) .*/a/b: "):
            attempt()
    assert warehouse.read("a") == b"1"
    assert source.exists()


def test_a_name_no_file_system_takes(warehouse: LocalWarehouse) -> None:
    with pytest.raises(WarehouseError, match="cannot write"):
        warehouse.replace("a" * 300, b"1")
    with pytest.raises(WarehouseError, match="cannot read"):
        warehouse.exists("a" * 300)


def test_replace_create_adopt_move_delete(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    warehouse.replace("a/1", b"old")
    warehouse.replace("a/1", b"new")
    assert warehouse.create("a/2", b"mine")
    assert not warehouse.create("a/2", b"theirs")
    (tmp_path / "big").write_bytes(b"big")
    warehouse.replace("a/3", tmp_path / "big")
    warehouse.adopt("b/4", tmp_path / "big")
    assert not (tmp_path / "big").exists()
    assert warehouse.move("a/1", "b/1")
    assert {key: warehouse.read(key) for key in warehouse.list("")} == {
        "a/2": b"mine",
        "a/3": b"big",
        "b/1": b"new",
        "b/4": b"big",
    }
    assert list(warehouse.list("a/")) == ["a/2", "a/3"]
    assert list(warehouse.list("a/3")) == ["a/3"]
    assert warehouse.local("a/3").read_bytes() == b"big"
    for key in list(warehouse.list("")):
        warehouse.delete(key)
    assert snapshot(warehouse.root) == {}


def test_a_list_is_sorted_as_an_object_store_would(warehouse: LocalWarehouse) -> None:
    for key in ("a/b", "a-b", "a.b", "a/a/z", "B"):
        warehouse.replace(key, b"")
    assert list(warehouse.list("")) == sorted(["a/b", "a-b", "a.b", "a/a/z", "B"])


def test_other_writers_temporary_files_are_not_listed(warehouse: LocalWarehouse) -> None:
    warehouse.replace("a/b", b"")
    with warehouse.workspace() as folder:
        (folder / "part.parquet").write_bytes(b"half")
        assert list(warehouse.list("")) == ["a/b"]
    assert not folder.exists()


def test_a_warehouse_may_lie_below_a_folder_with_any_name(tmp_path: Path) -> None:
    warehouse = LocalWarehouse(tmp_path / ".tmp-of-mine" / "warehouse")
    warehouse.replace("a/b", b"")
    assert list(warehouse.list("a/")) == ["a/b"]


def test_one_of_many_creators_wins(warehouse: LocalWarehouse) -> None:
    start = threading.Barrier(8)

    def create(number: int) -> bool:
        start.wait()
        return warehouse.create("log/1", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert warehouse.read("log/1") == str(won.index(True)).encode()


def test_a_reader_never_sees_half_an_object(warehouse: LocalWarehouse) -> None:
    versions = {bytes([letter]) * 200_000 for letter in b"ab"}
    warehouse.replace("x", min(versions))
    writing = threading.Event()

    def write() -> None:
        for _ in range(30):
            for version in versions:
                warehouse.replace("x", version)
        writing.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not writing.is_set():
        seen.add(warehouse.read("x"))
    writer.join()
    assert seen <= versions


FULL_DISK = """
import resource, sys
from pathlib import Path
from finops.errors import WarehouseError
from finops.warehouse.local import LocalWarehouse
warehouse = LocalWarehouse(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for attempt in (warehouse.replace, warehouse.create):
    try:
        attempt("a/b", b"x" * 2000)
    except WarehouseError as error:
        print(error)
"""


def test_a_full_disk_leaves_the_old_object(warehouse: LocalWarehouse) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    warehouse.replace("a/b", b"old")
    before = snapshot(warehouse.root)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(warehouse.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = f"cannot write {warehouse.root}/a/b: File too large; check the folder's permissions"
    assert [line.startswith(said) for line in done.stdout.splitlines()] == [True, True]
    assert snapshot(warehouse.root) == before


LOCKED = """
import os, sys
from pathlib import Path
from finops.errors import WarehouseError
from finops.warehouse.local import LocalWarehouse
warehouse = LocalWarehouse(Path(sys.argv[1]))
os.setuid(65534)
for attempt in (
    lambda: warehouse.read("locked/b"),
    lambda: warehouse.exists("locked/b"),
    lambda: warehouse.replace("locked/b", b"2"),
    lambda: warehouse.delete("locked/b"),
    lambda: list(warehouse.list("")),
):
    try:
        print("nothing was said:", attempt())
    except WarehouseError as error:
        print(str(error).partition(" ")[0], "Permission denied" in str(error))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
def test_a_locked_folder_is_a_fault_and_no_empty_table(warehouse: LocalWarehouse) -> None:
    warehouse.replace("locked/b", b"1")
    (warehouse.root / "locked").chmod(0o000)
    opened(warehouse.root)
    done = subprocess.run(
        [sys.executable, "-c", LOCKED, str(warehouse.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["cannot True"] * 5


def test_a_folder_that_another_run_prunes_at_any_moment_is_made_again(tmp_path: Path) -> None:
    warehouse, done = LocalWarehouse(tmp_path), threading.Event()

    def prune() -> None:
        while not done.is_set():
            warehouse.delete("folder/deep/gone")

    pruning = threading.Thread(target=prune)
    pruning.start()
    try:
        for number in range(300):
            warehouse.replace("staged", b"%d" % number)
            assert warehouse.move("staged", "folder/deep/kept")
            assert warehouse.read("folder/deep/kept") == b"%d" % number
            warehouse.delete("folder/deep/kept")
    finally:
        done.set()
        pruning.join()
