"""What Locust is told in batches is what it would count a request at a time.

Importing Locust patches the whole process, so that these cases run in one of their own.
"""

from __future__ import annotations

from locust.env import Environment
from locust.stats import RequestStats

# isort: split
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.load.sending.locust_feed import LocustFeed

ms = st.floats(0.001, 250_000)


def facts(entry):
    return {
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "min": None if entry.min_response_time is None else round(entry.min_response_time, 5),
        "max": round(entry.max_response_time, 5),
        "total": round(entry.total_response_time, 2),
        "bytes": entry.total_content_length,
        "times": dict(entry.response_times),
        "all seconds": sum(entry.num_reqs_per_sec.values()),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from(["piqa", "hellaswag"]), ms, st.integers(0, 9000)), max_size=20)))
def batches_come_to_the_same_as_single_requests(batches):
    environment = Environment()
    feed = LocustFeed(environment)
    single = RequestStats()
    for batch in batches:
        for name, latency_ms, length in batch:
            latency_ns = int(latency_ms * 1e6)
            feed.told(name, 5_000, 5_000 + latency_ns, length, None)
            single.log_request("POST", name, latency_ns / 1e6, length)
        feed.flush()
    assert facts(environment.stats.total) == facts(single.total)
    told = {key: facts(entry) for key, entry in environment.stats.entries.items()}
    assert told == {key: facts(entry) for key, entry in single.entries.items()}


def failures_are_passed_on_at_once():
    """With a batch open, a failure reaches the event's listeners with its reason."""
    environment = Environment()
    feed = LocustFeed(environment)
    seen = []
    environment.events.request.add_listener(lambda **told: seen.append(told))
    feed.told("piqa", 0, 2_000_000, 10, None)
    failure = RuntimeError("timeout: no answer")
    feed.told("piqa", 0, 3_000_000, 0, failure)
    assert [(told["name"], told["response_time"], told["exception"]) for told in seen] == [("piqa", 3.0, failure)]
    feed.flush()
    assert environment.stats.total.num_requests == 1


def whoever_listens_is_told_of_every_request():
    """A listener of the user's own, there before the run, gets each success as an event."""
    environment = Environment()
    seen = []
    environment.events.request.add_listener(lambda **told: seen.append(told["response_time"]))
    feed = LocustFeed(environment)
    feed.told("piqa", 0, 2_000_000, 10, None)
    feed.flush()
    assert (seen, environment.stats.total.num_requests) == ([2.0], 0)


if __name__ == "__main__":
    batches_come_to_the_same_as_single_requests()
    failures_are_passed_on_at_once()
    whoever_listens_is_told_of_every_request()
