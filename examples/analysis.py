# %% [markdown]
# # Latency by dataset over time, and the ten slowest requests
#
# Run a load first, with `aether-load run`, then this notebook, or the same as a script: `python examples/analysis.py`.
# Both read the newest run in `results/`. They need `pip install 'aether-load[examples]'`.
#
# The columns of each frame are listed in `docs/reference/frames.md`.

# %%
import altair as alt
import pandas as pd

import aether_load

run = aether_load.open_run("latest")
print(run.id, run.report.verdict.status)

# %% [markdown]
# ## Latency by dataset over time
#
# The report's figures are of requests that were due inside a phase's window and were sent; so is this chart.

# %%
samples = run.samples()
sent = samples[samples["in_window"] & samples["sent_utc"].notna()]
latency_ms = sent.assign(response_latency_ms=sent["response_latency_us"].astype("float64") / 1000)
by_second = latency_ms.groupby(["name", pd.Grouper(key="ended_utc", freq="1s")], observed=True)
over_time = by_second["response_latency_ms"].quantile([0.5, 0.95]).rename_axis(["name", "ended_utc", "quantile"])
lines = over_time.dropna().reset_index()
lines["percentile"] = lines["quantile"].map({0.5: "p50", 0.95: "p95"})

latency = (
    alt.Chart(lines.astype({"name": "str"}), width=700, height=260)
    .mark_line(point=True)
    .encode(
        x=alt.X("ended_utc:T", title="answered at (UTC)"),
        y=alt.Y("response_latency_ms:Q", title="response latency (ms)"),
        color=alt.Color("name:N", title="dataset"),
        strokeDash="percentile:N",
    )
)
latency.save(str(run.folder / "latency_by_dataset.svg"))
latency

# %% [markdown]
# ## The ten slowest requests
#
# The parts of a request's response latency add up to it. `docs/correlation.md` says what each part is.

# %%
slowest = run.slowest(10)
for place, request in enumerate(slowest.itertuples(), 1):
    node = (
        "" if pd.isna(request.slowest_node) else f"; slowest node {request.slowest_node}, {request.slowest_node_ms} ms"
    )
    print(
        f"{place:2}. {request.response_latency_ms:8.1f} ms  {request.prompt_id} in {request.phase}, {request.outcome}: "
        f"mostly {request.largest_part}{node}"
    )

# %%
names = [
    "start_delay_ms",
    "sender_hold_ms",
    "overhead_ms",
    "scheduler_ms",
    "barrier_ms",
    "node_path_ms",
    "undivided_server_ms",
    "unanswered_ms",
]
parts = slowest.assign(request=range(1, len(slowest) + 1)).melt("request", names, "part", "time_ms")

explained = (
    alt.Chart(parts[parts["time_ms"] > 0], width=700)
    .mark_bar()
    .encode(
        x=alt.X("time_ms:Q", title="response latency (ms)"),
        y=alt.Y("request:O", title="request, the slowest first"),
        color=alt.Color("part:N", sort=names),
    )
)
explained.save(str(run.folder / "slowest_requests.svg"))
explained
