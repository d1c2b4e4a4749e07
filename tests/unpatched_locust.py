"""Import Locust into the test's process, which Locust is kept from patching; whatever imports it later finds it so."""

from __future__ import annotations

import os

_UNPATCHED = "LOCUST_SKIP_MONKEY_PATCH"
os.environ[_UNPATCHED] = "1"
try:
    import locust  # noqa: F401
finally:
    del os.environ[_UNPATCHED]
