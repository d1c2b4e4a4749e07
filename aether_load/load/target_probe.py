"""Look for a runtime from the sender, within one limit for all that it takes."""

from __future__ import annotations

from collections.abc import Mapping

import gevent

from aether_load.errors import TargetError
from aether_load.runtime_client import TargetFacts, probe
from aether_load.tls import TlsSettings

PROBE_LIMIT_S = 3.5


def probe_in_time(url: str, headers: Mapping[str, str], tls: TlsSettings, option: str) -> TargetFacts:
    """Return what answers at `url`, which `option` names; raises TargetError, at the latest after the limit."""
    # The probe limits each of its steps; this limits them together, and the look-up of the name with them.
    late = TargetError(f"What answers at {url} takes more than {PROBE_LIMIT_S:g} s to say that it is well.")
    with gevent.Timeout(PROBE_LIMIT_S, late):
        return probe(url, headers, tls=tls, option=option)
