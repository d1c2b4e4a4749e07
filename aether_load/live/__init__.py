"""What is known of a run while it goes on: fed in bulk, a second at a time; no Locust, no gevent, no sockets."""
