"""List the codes of warnings, which reports carry and scenarios may turn into failures."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class WarningCode(StrEnum):
    """Name what threatens the meaning of a run's figures; `MEANINGS` says what each code means."""

    SIMULATED_TARGET = "simulated_target"
    TLS_NOT_VERIFIED = "tls_not_verified"
    CRASHED = "crashed"
    DAMAGED = "damaged"
    WORKER_LOST = "worker_lost"
    WORKER_CLOCK_OFF = "worker_clock_off"
    NOTE = "note"
    OUTPUTS_NOT_PASSED_ON = "outputs_not_passed_on"
    DATASET_SHORTER_THAN_ASKED = "dataset_shorter_than_asked"
    CONTAMINATED = "contaminated"
    RESTARTED = "restarted"
    NO_SERVER_DATA = "no_server_data"
    READINGS_MISSING = "readings_missing"
    UNREAD_ANSWERS = "unread_answers"
    REQUESTS_UNACCOUNTED = "requests_unaccounted"
    ANSWERS_REPEATED = "answers_repeated"
    FIGURES_CONTRADICT = "figures_contradict"
    SENDER_STALLED = "sender_stalled"
    CLIENT_SATURATED = "client_saturated"
    USERS_NOT_BUSY = "users_not_busy"
    MORE_IN_FLIGHT_THAN_USERS = "more_in_flight_than_users"
    ACHIEVED_RATE_LOW = "achieved_rate_low"
    DROPPED = "dropped"
    FALLING_BEHIND = "falling_behind"
    NOT_STEADY = "not_steady"
    FEW_SAMPLES = "few_samples"
    MOCK_PROVIDER = "mock_provider"
    CACHE_ANSWERED = "cache_answered"
    COLD_PHASE_WITH_HITS = "cold_phase_with_hits"
    WARM_PHASE_WITH_MISSES = "warm_phase_with_misses"
    LATENCY_NEAR_OWN_FLOOR = "latency_near_own_floor"
    RATE_NEAR_OWN_CEILING = "rate_near_own_ceiling"
    PROMPTS_EXCEED_CACHE = "prompts_exceed_cache"
    PAIRS_NOT_USED = "pairs_not_used"


class WarningMeaning(NamedTuple):
    """What a code says in half a line, when it is given, and what to do about it."""

    meaning: str
    when: str
    remedy: str


MEANINGS: Mapping[WarningCode, WarningMeaning] = {
    WarningCode.SIMULATED_TARGET: WarningMeaning(
        "simulated: the figures say nothing about Aether",
        "the target is the simulated runtime",
        "Give a runtime with --host URL.",
    ),
    WarningCode.TLS_NOT_VERIFIED: WarningMeaning(
        "another server may have answered",
        "certificates were not verified (`--insecure`)",
        "Trust the runtime's certificate with --ca-file, or with SSL_CERT_FILE.",
    ),
    WarningCode.CRASHED: WarningMeaning(
        "the run was cut off; its last second is missing",
        "the run was ended by force",
        "Take the figures as a look at a part, and run it again.",
    ),
    WarningCode.DAMAGED: WarningMeaning(
        "bytes or rows of the run are damaged or missing",
        "bytes in the run's folder are not as they were written, or rows are missing; the run is invalid (exit code 5)",
        "Take no figure of this run. If a note in run.json says where the rest lies, append it and report again.",
    ),
    WarningCode.WORKER_LOST: WarningMeaning(
        "a worker was lost, and its part of the load",
        "a sending process was lost, or left, before the run's end; the run is invalid (exit code 5)",
        "Find out what ended it, and run again; workers that go on were not disturbed.",
    ),
    WarningCode.WORKER_CLOCK_OFF: WarningMeaning(
        "a worker's clock is off; figures are corrected",
        "a worker's clock differs from the master's by more than a second",
        "Let its machine keep its clock by NTP.",
    ),
    WarningCode.NOTE: WarningMeaning(
        "the run wrote a note; see run.json",
        "something went wrong that the note describes",
        "Mend that before the next run.",
    ),
    WarningCode.OUTPUTS_NOT_PASSED_ON: WarningMeaning(
        "on v1 no node reads another's output",
        "a DAG with dependencies ran on a v1 runtime, which substitutes nothing",
        "Take the figures as those of so many calls in a row, and use a v2 runtime to measure a DAG.",
    ),
    WarningCode.DATASET_SHORTER_THAN_ASKED: WarningMeaning(
        "a dataset has fewer rows than the limit",
        "a dataset has fewer rows than `workload.limit`",
        "Lower workload.limit, or use a larger source.",
    ),
    WarningCode.CONTAMINATED: WarningMeaning(
        "other clients used the runtime meanwhile",
        "the counts of client and server differ",
        "Give the runtime to this run alone, and one replica of it.",
    ),
    WarningCode.RESTARTED: WarningMeaning(
        "the runtime restarted",
        "a counter of the runtime fell between two readings",
        "Find out why the runtime restarted, and run again.",
    ),
    WarningCode.NO_SERVER_DATA: WarningMeaning(
        "the server's metrics could not be read",
        "the first or the last reading of /metrics is missing or not the runtime's",
        "Check GET /metrics of the target, say with --server-metrics-url where else it is, or set "
        "target.server_metrics false.",
    ),
    WarningCode.READINGS_MISSING: WarningMeaning(
        "some readings of /metrics failed",
        "a reading of /metrics under load could not be read",
        "Find out why /metrics did not answer; the reconciliation itself stands on the first reading and the last.",
    ),
    WarningCode.UNREAD_ANSWERS: WarningMeaning(
        "counts agree within bounds: answers broke",
        "counts agree only because requests without an answer may have run",
        "Find out why answers broke.",
    ),
    WarningCode.REQUESTS_UNACCOUNTED: WarningMeaning(
        "samples and other counts of requests differ",
        "a request that was handed out has no sample, or two",
        "Do not use the figures, and report this: it is a defect of the harness.",
    ),
    WarningCode.ANSWERS_REPEATED: WarningMeaning(
        "answers were read by requests of others",
        "two samples have one execution id: an answer was read twice, and the run is invalid (exit code 5)",
        "Find out what repeats answers, the runtime or a proxy before it.",
    ),
    WarningCode.FIGURES_CONTRADICT: WarningMeaning(
        "figures contradict each other",
        "a check does not hold, such as a node time above its level's",
        "Take the server's times as wrong until it is known why: a proxy that caches /metrics, another client, a "
        "runtime whose clock does not run evenly.",
    ),
    WarningCode.SENDER_STALLED: WarningMeaning(
        "the sender read late: percentiles are intervals",
        "the sender's event loop was held, and a percentile of latency is known as an interval only",
        "Give the sender a core of its own, and its locustfile's own code less to do at a time; then run again.",
    ),
    WarningCode.CLIENT_SATURATED: WarningMeaning(
        "the sender was short of CPU and added latency",
        "the sending process used more than 90 % of a core in its busiest second",
        "Use fewer users, or a machine that has nothing else to do; with cores to spare, more --processes.",
    ),
    WarningCode.USERS_NOT_BUSY: WarningMeaning(
        "users waited for the client itself",
        "Little's ratio is below 0.95, in windows of 1 s and more",
        "Use fewer users, or a machine that has nothing else to do.",
    ),
    WarningCode.MORE_IN_FLIGHT_THAN_USERS: WarningMeaning(
        "more requests in flight than users", "Little's ratio is above 1.02", "Report this: it is a defect."
    ),
    WarningCode.ACHIEVED_RATE_LOW: WarningMeaning(
        "less than 99 % of the rate was sent",
        "less than 99 % of what was due in an open load was sent in the window",
        "Raise max_concurrency if users were all busy, or take a lower rate: this is not the load asked for.",
    ),
    WarningCode.DROPPED: WarningMeaning(
        "requests were due and never sent",
        "requests of an open load were due and never sent",
        "Judge by the achieved rate beside the latencies, and raise max_concurrency or take a lower rate.",
    ),
    WarningCode.FALLING_BEHIND: WarningMeaning(
        "the runtime fell behind an open load",
        "in an open load more requests waited at the window's end than in its middle: by over 5 % of those due "
        "meanwhile, and by more than chance explains",
        "Take a lower rate: the longer such a window is, the higher its latencies. A search finds the rate that holds.",
    ),
    WarningCode.NOT_STEADY: WarningMeaning(
        "throughput began higher or lower than it went on",
        "in a window of 120 s or more, MSER-5 would cut off a beginning whose rate is more than 5 % off",
        "Look at the time series, and give the phase a longer warm-up if it shows one.",
    ),
    WarningCode.FEW_SAMPLES: WarningMeaning(
        "p99 is weak or only bounded from below",
        "p99 has no upper bound (fewer than 368 samples), or fewer than ten samples lie beyond it (1,000)",
        "Send more requests: more passes, or a longer duration.",
    ),
    WarningCode.MOCK_PROVIDER: WarningMeaning(
        "fixed answers of a mock, so no accuracy",
        "the runtime answers with its mock provider's text",
        "Give the runtime a real provider to measure accuracy.",
    ),
    WarningCode.CACHE_ANSWERED: WarningMeaning(
        "latency is of cache hits too",
        "nodes came from the cache, in a phase that leaves the cache as it is",
        "Send each prompt once (passes = 1) to a runtime whose cache is empty, or judge hits on their own.",
    ),
    WarningCode.COLD_PHASE_WITH_HITS: WarningMeaning(
        "the cold cache answered",
        "nodes came from a cache that was to be cold",
        "End the phase after one pass over the prompts, and let nobody else fill the cache.",
    ),
    WarningCode.WARM_PHASE_WITH_MISSES: WarningMeaning(
        "the warm cache had misses",
        "nodes did not come from a cache that was to be warm",
        "Take prompts that fit into its 1000 entries, and let nobody else evict them.",
    ),
    WarningCode.LATENCY_NEAR_OWN_FLOOR: WarningMeaning(
        "latency is near the client's own",
        "the median is less than 5 times what the self-check measured for an exchange with an idle server",
        "Take differences between runs of this client, not the latency itself.",
    ),
    WarningCode.RATE_NEAR_OWN_CEILING: WarningMeaning(
        "the rate is near what the client can send",
        "the rate is above 70 % of what the self-check says that this client can send",
        "Use a faster machine for the sender, one that it does not share with the runtime, or more processes "
        "(--processes) where there are cores for them.",
    ),
    WarningCode.PROMPTS_EXCEED_CACHE: WarningMeaning(
        "more prompts were repeated than the cache holds",
        "prompts were sent more than once to a cache that cannot hold them",
        "Use --limit for a set that fits, or take every request as a miss.",
    ),
    WarningCode.PAIRS_NOT_USED: WarningMeaning(
        "the gate could not use some pairs of windows",
        "windows of a gate were void, and their pairs were left out",
        "Give the gate a machine with less other work, or find out what the windows have against them.",
    ),
}
