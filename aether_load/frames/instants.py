"""Turn monotonic instants of a run into UTC timestamps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aether_load.rundata.manifest import UTC_FORMAT, ClockPair
from aether_load.rundata.records.record_format import ABSENT


class RunClock:
    """The run's two clocks, taken together at its beginning."""

    def __init__(self, began: ClockPair) -> None:
        began_utc = np.datetime64(datetime.strptime(began.utc, UTC_FORMAT), "ns")  # noqa: DTZ007 -- NumPy has no zones
        self._ahead_ns = int(began_utc.astype(np.int64)) - began.monotonic_ns

    def utc(self, instants_ns: NDArray[np.int64]) -> pd.DatetimeIndex:
        """Return monotonic instants in UTC; `ABSENT` becomes NaT."""
        at: NDArray[Any] = (instants_ns + self._ahead_ns).astype("M8[ns]")
        at[instants_ns == ABSENT] = np.datetime64("NaT")
        return pd.DatetimeIndex(at).tz_localize("UTC")

    def utc_of(self, instants_ns: Iterable[int | None]) -> pd.DatetimeIndex:
        """Return monotonic instants in UTC, NaT for None."""
        return self.utc(np.array([ABSENT if at_ns is None else at_ns for at_ns in instants_ns], np.int64))
