"""Have Locust imported before the modules of these tests import it."""

import unpatched_locust  # noqa: F401
