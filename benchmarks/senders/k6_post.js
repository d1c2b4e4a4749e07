// Posts the benchmark's body: as many users as it says, or (with COST_RATE) that many requests a second.
import http from "k6/http";

const body = open(__ENV.COST_BODY);
const duration = `${__ENV.COST_SECONDS}s`;
const users = Number(__ENV.COST_USERS);
const closed = { executor: "constant-vus", vus: users, duration };
const open_load = {
  executor: "constant-arrival-rate",
  rate: Number(__ENV.COST_RATE),
  timeUnit: "1s",
  duration,
  preAllocatedVUs: users,
};

export const options = {
  scenarios: { load: __ENV.COST_RATE ? open_load : closed },
  summaryTrendStats: ["med", "p(99)", "p(99.9)"],
};

export default function () {
  http.post(`${__ENV.COST_URL}/execute`, body, { headers: { "Content-Type": "application/json" } });
}

export function handleSummary(data) {
  return { [__ENV.COST_FILE]: JSON.stringify(data) };
}
