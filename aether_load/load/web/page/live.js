// Asks once a second for the latest figures and shows them; whatever comes from elsewhere is text and nothing else.
import { Chart, brief, clock } from "./charts.js";
import { line, area, band, bars, percent } from "./marks.js";
import { cells, fill, tile } from "./tables.js";

const PART_NAMES = {
  start_delay: ["start delay", "--c7"], overhead: ["outside the server", "--c0"], scheduler: ["scheduler", "--c4"],
  barrier: ["barriers", "--c5"], node_path: ["node path", "--c2"], undivided_server: ["server, undivided", "--c6"],
  unanswered: ["no readable answer", "--c3"],
};
const STATES = { ready: "ready", running: "running", writing: "writing results", ended: "ended" };
const TRUST = {
  waiting: "waiting for a reading", agrees: "agrees so far", contaminated: "contaminated", restarted: "restarted",
  no_server_data: "no server data",
};
const EVERY_MS = 1000;
const HISTORY_EVERY = 60;
const at = (id) => document.getElementById(id);
const charts = Object.fromEntries(
  ["latency", "parts", "histogram", "rate", "flight", "shares"].map((id) => [id, new Chart(at(id))]),
);
let points = [];
let epoch = null;
let seen = null;
let asked = 0;

async function ask(what) {
  const answer = await fetch(what, { cache: "no-store" });
  if (!answer.ok || !answer.headers.get("content-type").startsWith("application/json")) throw new Error("no answer");
  return answer.json();
}

async function refresh() {
  const now = await ask("live");
  if (epoch === now.epoch && seen === now.tick) return;
  const fresh = now.points.filter((point) => points.length === 0 || point.began_s >= points.at(-1).ended_s - 0.001);
  const gap = fresh.length > 0 && points.length > 0 && fresh[0].began_s > points.at(-1).ended_s + 0.001;
  asked += 1;
  if (epoch !== now.epoch || gap || asked % HISTORY_EVERY === 0) points = (await ask("history")).points;
  else points.push(...fresh);
  epoch = now.epoch;
  seen = now.tick;
  show(now);
}

function show(now) {
  const { figures, run, phase } = now;
  at("pill").textContent = STATES[now.state];
  at("pill").className = `pill ${now.state}`;
  at("what").textContent = run === null ? "No load has been started yet: Start is in Locust's own form." : whatRuns(run, phase);
  showThresholds(now.thresholds, now.state);
  at("notice").textContent = now.notice ?? "";
  at("notice").hidden = now.notice === null;
  showWarnings(now.warnings);
  showRuns(now.runs);
  if (figures === null) return;
  showTiles(now);
  showCharts(figures, now.phases);
  showLedger(now.reconciliation);
  fill(at("outcomes"), ["dataset", "outcome", "requests"], figures.outcomes);
}

function whatRuns(run, phase) {
  const target = `${run.simulated ? "SIMULATED runtime" : "runtime"} ${run.generation} at ${run.target}`;
  const parts = [`${run.scenario} (${run.dag}; ${run.datasets.join(", ")}) on ${target}`];
  if (phase !== null) {
    const place = phase.of > 1 ? `phase ${phase.number} of ${phase.of}: ${phase.name}` : `phase ${phase.name}`;
    const sending = phase.load === "open" ? `${phase.users} in flight` : `${phase.users} ${phase.users === 1 ? "user sends" : "users send"}`;
    const kind = [phase.load, sending, phase.sequential && "sequential", phase.cache !== "keep" && `cache ${phase.cache}`];
    const where = phase.in_window ? "" : ", outside its window";
    parts.push(`${place} (${kind.filter(Boolean).join(", ")}) for ${clock(phase.elapsed_s)}${where}`);
  }
  return parts.join(" · ");
}

// Broken ones first; as long as the run goes on, each state is one so far.
function showThresholds(thresholds, state) {
  const order = ["broken", "undecided", "holds"];
  const sorted = thresholds.toSorted((one, other) => order.indexOf(one.state) - order.indexOf(other.state));
  at("thresholds").replaceChildren(...sorted.map(({ condition, state: standing, phase, shown }) => {
    const entry = document.createElement("li");
    const word = document.createElement("b");
    word.className = { holds: "good", broken: "bad" }[standing] ?? "";
    word.textContent = shown || state !== "running" ? standing : "waiting";
    const seen = [phase, shown].filter(Boolean).join(": ");
    entry.append(word, ` ${condition}`, seen ? ` (${seen}${state === "running" ? " so far" : ""})` : "");
    return entry;
  }));
}

// While it runs the last five seconds are of interest, afterwards the whole of it.
function latency(name, key, now, figures) {
  if (now === null) return tile(name, brief(figures[key]), "whole run");
  return tile(name, brief(now[key]), `whole run ${brief(figures[key])}`);
}

function showTiles({ figures, reconciliation, state }) {
  const now = state === "running" ? figures.now : null;
  const seconds = points.length === 0 ? 0 : points.at(-1).ended_s - points[0].began_s;
  const rate = now?.rate_rps ?? (seconds > 0 ? figures.requests_total / seconds : null);
  const total = figures.cached_nodes + figures.uncached_nodes;
  const failed = figures.outcomes.filter(([, outcome]) => outcome !== "ok").reduce((sum, [, , count]) => sum + count, 0);
  at("tiles").replaceChildren(
    tile("requests/s", brief(rate), `${figures.requests_total} in all`),
    latency("p50 ms", "p50_ms", now, figures),
    latency("p95 ms", "p95_ms", now, figures),
    latency("p99 ms", "p99_ms", now, figures),
    tile("server mean ms", interval(figures.server_mean_ms), "of nodes, whole run"),
    tile("server p95 ms", interval(figures.server_p95_ms), "of nodes, whole run"),
    tile("not ok", String(failed), failed ? "see outcomes" : "", failed ? "bad" : ""),
    tile("in flight", state === "running" ? String(figures.in_flight ?? "–") : "–",
      [figures.thinking_users && `${figures.thinking_users} thinking`, figures.waiting_requests && `${figures.waiting_requests} waiting`].filter(Boolean).join(", ")),
    tile("cache hits", total ? percent(figures.cached_nodes / total) : "–", total ? `${figures.cached_nodes} of ${total} nodes` : "not told"),
    tile("sender CPU", now?.cpu_share === undefined || now === null || now.cpu_share === null ? "–" : percent(now.cpu_share), "of a core"),
    tile("reconciliation", trust(reconciliation), reconciliation.difference_nodes === null ? "" : `${reconciliation.difference_nodes} nodes unexplained`,
      { agrees: "good", waiting: "" }[reconciliation.state] ?? "bad"),
  );
}

function trust(reconciliation) {
  return reconciliation.state === "agrees" && reconciliation.at_rest ? "agrees" : TRUST[reconciliation.state];
}

function interval(bounds) {
  if (bounds === null) return "–";
  return bounds[1] === null ? `≥ ${brief(bounds[0])}` : `[${brief(bounds[0])}, ${brief(bounds[1])})`;
}

function showCharts(figures, phases) {
  const xs = points.map((point) => (point.began_s + point.ended_s) / 2);
  const of = (key) => points.map((point) => point[key]);
  charts.latency.draw({ xs, phases, unit: " ms", marks: [
    band("server p95", "--c2", of("server_p95_low_ms"), of("server_p95_high_ms"), "ms"),
    line("server mean", "--c2", of("server_mean_ms"), "ms", true),
    line("p50", "--c0", of("p50_ms"), "ms"),
    line("p95", "--c1", of("p95_ms"), "ms"),
    line("p99", "--c3", of("p99_ms"), "ms"),
  ] });
  showParts(xs, figures.parts, phases);
  showHistogram(figures);
  const target = of("target_rps");
  charts.rate.draw({ xs, phases, unit: "/s", marks: [
    line("answered", "--c0", of("rate_rps"), "/s"),
    line("failed", "--c3", of("failed_rps"), "/s"),
    ...(target.some((rate) => rate !== null) ? [line("asked for", "--c7", target, "/s", true)] : []),
  ] });
  charts.flight.draw({ xs, phases, unit: "", marks: [line("in flight", "--c6", of("in_flight"), "")] });
  const share = (key) => of(key).map((value) => (value === null ? null : value * 100));
  charts.shares.draw({ xs, phases, unit: "%", most: 100, marks: [
    line("cache hits", "--c4", share("cache_hit_share"), "%"),
    line("sender CPU", "--c1", share("cpu_share"), "%"),
  ] });
}

function showParts(xs, parts, phases) {
  const there = parts.filter((_, place) => points.some((point) => point.parts_ms !== null && point.parts_ms[place] !== 0));
  let bottoms = points.map((point) => (point.parts_ms === null ? null : 0));
  const marks = there.map((part) => {
    const values = points.map((point) => (point.parts_ms === null ? null : point.parts_ms[parts.indexOf(part)]));
    const tops = bottoms.map((bottom, place) => (bottom === null ? null : bottom + Math.max(0, values[place])));
    const mark = area(...PART_NAMES[part], bottoms, tops, values);
    bottoms = tops;
    return mark;
  });
  charts.parts.draw({ xs, phases, unit: " ms", marks });
}

function showHistogram(figures) {
  const labels = [...figures.bucket_edges_ms.map((edge) => `≤ ${edge < 1000 ? edge : `${edge / 1000}k`}`), "> 10k"];
  const share = (counts) => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    return counts.map((count) => (total ? (count / total) * 100 : 0));
  };
  charts.histogram.draw({ labels, unit: "%", most: 100, marks: [
    bars("client, requests", "--c0", share(figures.client_buckets), figures.client_buckets, 0, 2),
    bars("server, nodes", "--c2", share(figures.server_buckets), figures.server_buckets, 1, 2),
  ] });
  const nodes = figures.nodes_per_request;
  at("histogram-note").textContent = `Part of each side's count by bucket, in ms, both cut off to whole ms. A request is of ${nodes} ${nodes === 1 ? "node" : "nodes"}; the server counts those that succeeded.`;
}

// One entry a code: the report has what is so in each phase.
function showWarnings(warnings) {
  const codes = new Map();
  for (const warning of warnings) codes.set(warning.code, [...(codes.get(warning.code) ?? []), warning]);
  at("warnings").replaceChildren(...[...codes].map(([code, [{ message, advice }, ...more]]) => {
    const entry = document.createElement("p");
    const name = document.createElement("code");
    const what = document.createElement("em");
    name.textContent = code;
    what.textContent = advice;
    entry.append(name, ` ${message} `, more.length ? `(and ${more.length} more) ` : "", what);
    return entry;
  }));
}

function showLedger(reconciliation) {
  const word = document.createElement("span");
  word.className = { agrees: "good", waiting: "" }[reconciliation.state] ?? "bad";
  word.textContent = trust(reconciliation);
  const how = reconciliation.lines.length === 0 ? "" : reconciliation.at_rest ? " (nothing in flight: both sides have to be equal)" : " (what is in flight may be counted by the server already)";
  at("trust").replaceChildren(word, `${how}${reconciliation.reason === null ? "" : `: ${reconciliation.reason}`}`);
  const lines = reconciliation.lines.filter(({ ours, theirs }) => ours || theirs);
  fill(at("reconciliation"), ["since the phase began", "answered", "counted by the server", "more there"],
    lines.map(({ name, ours, theirs }) => [name, ours, theirs ?? "–", theirs === null ? "–" : theirs - ours]));
}

function showRuns(runs) {
  const files = [["report.html", "report"], ["nightly.json", "nightly JSON"], ["summary.csv", "summary.csv"], ["samples.arrow", "samples"]];
  const rows = runs.map(({ id, verdict, trust: trusts }) => {
    const links = document.createElement("span");
    links.className = "links";
    links.append(...(verdict === null ? ["–"] : files.map(([name, text]) => {
      const link = document.createElement("a");
      link.href = `runs/${encodeURIComponent(id)}/${name}`;
      link.textContent = text;
      if (name === "report.html") link.target = "_blank";
      return link;
    })));
    const outcome = verdict === null ? "no results yet" : `${verdict}; ${[...new Set(trusts)].join(", ")}`;
    return cells([id, outcome, links]);
  });
  at("runs").replaceChildren(...rows);
}

function lost() {
  at("pill").textContent = "no answer";
  at("pill").className = "pill lost";
  seen = null;
}

async function forEver() {
  if (!document.hidden) await refresh().catch(lost);
  setTimeout(forEver, EVERY_MS);
}

forEver();
