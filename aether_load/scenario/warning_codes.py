"""The codes of validity warnings, which reports carry and scenarios may forbid."""

from __future__ import annotations

from enum import StrEnum


class WarningCode(StrEnum):
    """What threatens the meaning of a run's figures, in one word; docs/correlation.md says what each means."""

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
    FIGURES_CONTRADICT = "figures_contradict"
    CLIENT_SATURATED = "client_saturated"
    USERS_NOT_BUSY = "users_not_busy"
    MORE_IN_FLIGHT_THAN_USERS = "more_in_flight_than_users"
    ACHIEVED_RATE_LOW = "achieved_rate_low"
    DROPPED = "dropped"
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
