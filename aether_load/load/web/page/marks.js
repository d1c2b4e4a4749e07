// What the charts are made of; `say` is the value under the pointer, in words.
import { brief } from "./charts.js";

const colour = (name) => `var(${name})`;

// What is not quite nothing or not quite all does not look it.
export const percent = (share) => `${(share * 100).toFixed(share < 0.1 || (share > 0.99 && share < 1) ? 1 : 0)} %`;

export function line(name, shade, values, unit, dashed = false) {
  return { kind: "line", name, colour: colour(shade), values, dashed, say: (place) => `${brief(values[place])} ${unit}` };
}

export function area(name, shade, bottoms, tops, values) {
  return { kind: "area", name, colour: colour(shade), bottoms, tops, say: (place) => `${brief(values[place])} ms` };
}

export function band(name, shade, low, high, unit) {
  const say = (place) => (low[place] === null ? "–" : `[${brief(low[place])}, ${brief(high[place])}) ${unit}`);
  return { kind: "band", name, colour: colour(shade), low, high, say };
}

export function bars(name, shade, values, counts, place, of) {
  return { kind: "bars", name, colour: colour(shade), values, place, of, say: (at) => `${counts[at]} (${brief(values[at])} %)` };
}
