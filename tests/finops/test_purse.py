from concurrent.futures import ThreadPoolExecutor
from datetime import date

from finops.purse import Purse
from finops.warehouse.local import LocalWarehouse

TODAY, TOMORROW = date(2026, 11, 2), date(2026, 11, 3)


def test_it_runs_dry_and_is_full_again_the_next_day(warehouse: LocalWarehouse) -> None:
    purse = Purse(warehouse, "cost-explorer/aws-main", TODAY, 2)
    assert [purse.take() for _ in range(3)] == [True, True, False]
    assert purse.spent() == 2
    assert Purse(warehouse, "cost-explorer/aws-main", TOMORROW, 2).take()
    assert Purse(warehouse, "cost-explorer/aws-main-2", TODAY, 1).take()


def test_many_at_once_take_no_coin_twice(warehouse: LocalWarehouse) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: Purse(warehouse, "p", TODAY, 10).take(), range(40)))
    assert sum(taken) == 10


def test_no_allowance_is_no_request(warehouse: LocalWarehouse) -> None:
    assert not Purse(warehouse, "p", TODAY, 0).take()
    assert list(warehouse.list("purses/")) == []
