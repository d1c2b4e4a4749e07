"""What it means: pure functions over values, no Locust, no gevent, no sockets."""
