"""What Locust's statistics are fed with is what Locust would count a request at a time.

Importing Locust patches the whole process, so that these cases run in one of their own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from locust.env import Environment
from locust.stats import RequestStats

# isort: split
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.load.sending.locust_feed import LocustFeed
from aether_load.observer.locust_counts import LocustCounts
from aether_load.observer.messages import Counted
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import RequestRecord
from aether_load.rundata.records.record_reader import RecordReader
from aether_load.rundata.records.record_writer import RecordWriter

DATASETS = ["piqa", "hellaswag"]
latencies_ns = st.integers(1_000, 250_000_000_000)


def facts(entry: Any) -> dict[str, Any]:
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
@given(st.lists(st.lists(st.tuples(st.sampled_from([0, 1]), latencies_ns, st.integers(0, 9000)), max_size=20)))
def batches_come_to_the_same_as_single_requests(batches: Any) -> None:
    """Records of several blocks, of which failures and requests that were never sent are left to others."""
    environment = Environment()
    feed = LocustFeed(environment)
    single = RequestStats()
    counts = LocustCounts()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.bin"
        buffer = RecordBuffer(DATASETS, DATASETS)
        writer = RecordWriter(buffer, path)
        reader = RecordReader(path, follow=True)
        for batch in batches:
            for prompt, latency_ns, length in batch:
                sent = 5_000_000_000
                buffer.add(RequestRecord(0, sent, sent, sent + latency_ns, prompt=prompt, length=length))
                single.log_request("POST", DATASETS[prompt], latency_ns / 1e6, length)
            buffer.add(RequestRecord(0, 5, 5, 9, outcome=Outcome.TIMEOUT))
            buffer.add(RequestRecord(0, 5, outcome=Outcome.DROPPED))
            writer.write_out()
            for records in reader:
                counts.add(records, reader.tables)
            feed.merge(Counted(entries=counts.take()))
    assert facts(environment.stats.total) == facts(single.total)
    told = {key: facts(entry) for key, entry in environment.stats.entries.items()}
    assert told == {key: facts(entry) for key, entry in single.entries.items()}


def only_our_own_listeners_are_spared_single_events() -> None:
    """With nobody else there, successes come in batches; a listener of the user's own gets every request."""
    environment = Environment()
    assert LocustFeed(environment).every_request is False
    seen = []
    environment.events.request.add_listener(lambda **told: seen.append((told["name"], told["response_time"])))  # type: ignore[no-untyped-call]
    feed = LocustFeed(environment)
    assert feed.every_request is True
    feed.fire("piqa", 0, 2_000_000, 10, None)
    assert seen == [("piqa", 2.0)]


if __name__ == "__main__":
    batches_come_to_the_same_as_single_requests()
    only_our_own_listeners_are_spared_single_events()
