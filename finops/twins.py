"""Telling identical rows apart: the second of them is `<id>-1`, the third `<id>-2`.

FOCUS has no row id, so ours is a hash of the content; a bill may hold the same row twice. Rows
arrive in batches and are never held, so what is remembered of each is a 64-bit key, in sorted
runs that double in length (as in a log-structured merge tree): 8 bytes a row, n log n time.
"""

import polars as pl

_PLACE = pl.int_range(pl.len(), dtype=pl.Int64).over("key")


class Twins:
    """The ids seen so far in one partition."""

    def __init__(self) -> None:
        self._runs: list[pl.Series] = []

    def number(self, ids: pl.Series) -> pl.Series:
        """Return `ids` with a suffix on every one that came before, here or in an earlier call."""
        keys = ids.hash()
        run = keys.sort()
        rows = keys.is_in(self._repeated(run).implode()).arg_true()
        numbered = self._numbered(ids.gather(rows), keys.gather(rows))
        self._remember(run)
        return ids.clone().scatter(rows, numbered)

    def _repeated(self, run: pl.Series) -> pl.Series:
        """List the keys of a sorted run that it holds twice, or that came before."""
        found = [run.filter((run == run.shift(1)).fill_null(value=False))]
        for earlier in self._runs:
            at = earlier.search_sorted(run, "left").clip(upper_bound=len(earlier) - 1)
            found.append(run.filter(earlier.gather(at) == run))
        return pl.concat(found)

    def _numbered(self, ids: pl.Series, keys: pl.Series) -> pl.Series:
        earlier = self._count(keys) + keys.to_frame("key").select(_PLACE).to_series()
        suffix = pl.when(pl.col("n") > 0).then(pl.format("{}-{}", "id", "n")).otherwise("id")
        return pl.DataFrame({"id": ids, "n": earlier}).select(suffix).to_series()

    def _count(self, keys: pl.Series) -> pl.Series:
        """Count how often each key came in earlier calls."""
        counts = pl.zeros(len(keys), dtype=pl.Int64, eager=True)
        for run in self._runs:
            first, last = run.search_sorted(keys, "left"), run.search_sorted(keys, "right")
            counts += last.cast(pl.Int64) - first.cast(pl.Int64)
        return counts

    def _remember(self, run: pl.Series) -> None:
        while self._runs and len(self._runs[-1]) <= len(run):
            run = pl.concat([self._runs.pop(), run]).sort()
        self._runs.append(run)
