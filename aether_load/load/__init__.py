"""Send the load: the only package that imports Locust and gevent."""
