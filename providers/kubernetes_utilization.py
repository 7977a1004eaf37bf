"""How much of its GPUs a pod used: NVIDIA's DCGM exporter, asked through Prometheus."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from providers import prometheus
from providers.kubernetes_allocation import Utilization
from providers.prometheus import AT, VALUE, Range

ENGINE_ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
"""The share of time in which any engine was busy, 0 to 1; data centre GPUs have it."""
GPU_UTIL = "DCGM_FI_DEV_GPU_UTIL"
"""The share of time in which any kernel ran, in percent; every GPU has it."""

_BEFORE_THE_STEP_ENDS = timedelta(seconds=30)


def asked(
    first: datetime, end: datetime, step: timedelta, selector: str, *, exported: bool
) -> Range:
    """Ask for the used share of each pod's GPU time, 0 to 1, for the steps from `first` to `end`.

    `selector` narrows the series, such as `cluster="prod"`. With `exported` the labels of the
    exporter stand behind `exported_`, as Prometheus names them where it has its own of that name.
    """
    pod, namespace = _labels(exported=exported)
    chosen = ",".join(filter(None, (f'{pod}!=""', selector)))
    seconds = int(step.total_seconds())

    def used(metric: str, most: int) -> str:
        # Readings are compared one by one, before they are averaged: those of a GPU that cannot
        # tell are 9.22e18, and one of them would drown the rest.
        readings = f"({metric}{{{chosen}}} <= {most})[{seconds}s:60s]"
        share = " / ".join(
            f"sum by ({namespace}, {pod}) ({over}_over_time({readings}))"
            for over in ("sum", "count")
        )
        return share if most == 1 else f"{share} / {most}"

    return Range(
        f"{used(ENGINE_ACTIVE, 1)} or {used(GPU_UTIL, 100)}",
        first + step - _BEFORE_THE_STEP_ENDS,
        end - _BEFORE_THE_STEP_ENDS,
        step,
    )


def told(documents: Iterable[tuple[Any, str]], step: timedelta, *, exported: bool) -> Utilization:
    """Read the replies to `asked`; a pod without reading has no utilization."""
    pod, namespace = _labels(exported=exported)
    found: dict[tuple[str, str, datetime], Decimal] = {}
    for document, name in documents:
        table = prometheus.samples(document, name, (namespace, pod))
        for row in table.iter_rows(named=True):
            start = row[AT] + _BEFORE_THE_STEP_ENDS - step
            found[row[namespace], row[pod], start] = row[VALUE]
    return lambda of_namespace, of_pod, start: found.get((of_namespace, of_pod, start))


def _labels(*, exported: bool) -> tuple[str, str]:
    prefix = "exported_" if exported else ""
    return f"{prefix}pod", f"{prefix}namespace"
