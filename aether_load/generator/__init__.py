"""How it is sent and seen; the only rooms that import Locust and gevent."""
