import polars as pl

from finops import shares


def test_shares_beyond_what_the_ledger_holds_are_cut_at_the_eighteenth_digit() -> None:
    amounts = pl.DataFrame(
        {"g": [0, 0, 0], "a": pl.Series([10**30 + 1, 10**30, 1], dtype=pl.Int128)}
    )
    found = shares.reduced(amounts, "g", "a")["a"].to_list()
    assert len(found) == 2
    assert sum(found) <= shares.MOST
    assert found[0] == found[1] > shares.MOST // 3
