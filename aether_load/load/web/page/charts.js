// Charts in SVG: lines with bands, areas on top of each other, bars beside each other. Every text is a text node.
const HEIGHT = 230;
const EDGE = { left: 46, right: 10, top: 8, bottom: 24 };
const SVG = "http://www.w3.org/2000/svg";

function add(parent, name, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}

export function brief(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor((whole % 3600) / 60), whole % 60].map((part) => String(part).padStart(2, "0"));
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${parts.join(":")}` : parts.join(":");
}

function nice(most, count) {
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= rough);
}

function axisLabel(value, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return value >= 10000 ? `${value / 1000}k` : value.toFixed(digits);
}

export class Chart {
  constructor(place) {
    this.place = place;
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    this.svg = add(place, "svg", { role: "img" });
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    place.style.position = "relative";
    place.prepend(this.legend);
    place.append(this.tip);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.last && this.place.clientWidth !== this.width && this.draw(this.last)).observe(place);
  }

  // what: {marks: [{kind, name, colour, …}], labels | xs, unit, most, phases: [{name, began_s}]}
  draw(what) {
    this.last = what;
    this.width = this.place.clientWidth;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.drawLegend(what.marks);
    this.inner = { x: EDGE.left, w: Math.max(10, this.width - EDGE.left - EDGE.right), h: HEIGHT - EDGE.top - EDGE.bottom };
    this.drawGrid(what);
    this.drawPhases(what);
    for (const mark of what.marks) this[mark.kind](mark, what);
    this.cursor = add(this.svg, "line", { class: "cursor", y1: EDGE.top, y2: EDGE.top + this.inner.h });
    this.place.dataset.points = what.xs ? what.xs.length : what.labels.length;
  }

  drawLegend(marks) {
    this.legend.replaceChildren(...marks.map((mark) => {
      const entry = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = mark.colour;
      if (mark.kind === "band") swatch.style.opacity = "0.35";
      entry.append(swatch, document.createTextNode(mark.name));
      return entry;
    }));
  }

  drawGrid(what) {
    const { x, w, h } = this.inner;
    const seen = what.marks.flatMap((mark) => (mark.kind === "band" ? mark.high : mark.tops ?? mark.values));
    const most = what.most ?? Math.max(...seen.filter((value) => value !== null), 0);
    const step = most > 0 ? nice(most, 4) : 1;
    this.top = what.most ?? Math.max(step, Math.ceil(most / step - 1e-9) * step);
    this.y = (value) => EDGE.top + h - (Math.min(value, this.top) / this.top) * h;
    for (let value = 0; value <= this.top + step / 1000; value += step) {
      add(this.svg, "line", { class: "grid", x1: x, x2: x + w, y1: this.y(value), y2: this.y(value) });
      add(this.svg, "text", { x: x - 6, y: this.y(value) + 4, "text-anchor": "end" }, axisLabel(value, step) + (value ? what.unit : ""));
    }
    if (what.xs) this.drawTime(what.xs);
    else this.drawLabels(what.labels);
  }

  drawTime(xs) {
    const { x, w } = this.inner;
    const first = xs.length ? Math.floor(xs[0]) : 0;
    const span = Math.max(10, (xs.length ? xs.at(-1) : 0) - first);
    this.x = (value) => x + ((value - first) / span) * w;
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400];
    const step = steps.find((seconds) => (span / seconds) * 56 <= w) ?? 86400;
    for (let at = Math.ceil(first / step) * step; at <= first + span; at += step) {
      add(this.svg, "text", { x: this.x(at), y: HEIGHT - 6, "text-anchor": "middle" }, clock(at));
    }
  }

  // Where each phase begins; of a single one nothing needs to be said.
  drawPhases({ xs, phases = [] }) {
    if (!xs || xs.length === 0 || phases.length < 2) return;
    const { x, w, h } = this.inner;
    let free = -Infinity;
    for (const { name, began_s: began } of phases) {
      const at = this.x(began);
      if (at > x + w) continue;
      if (at >= x) add(this.svg, "line", { class: "phase", x1: at, x2: at, y1: EDGE.top, y2: EDGE.top + h });
      const left = Math.max(at, x) + 4;
      const label = name.length > 16 ? `${name.slice(0, 15)}…` : name;
      // A name that would run into the one before it, or over the edge, is left out.
      if (left < free || left + label.length * 6 > x + w) continue;
      add(this.svg, "text", { class: "phase", x: left, y: EDGE.top + 9 }, label);
      free = left + label.length * 6 + 8;
    }
  }

  drawLabels(labels) {
    const { x, w } = this.inner;
    const slot = w / labels.length;
    this.x = (place) => x + (place + 0.5) * slot;
    const every = Math.ceil(38 / slot);
    labels.forEach((label, place) => {
      if (place % every === 0) {
        add(this.svg, "text", { x: this.x(place), y: HEIGHT - 6, "text-anchor": "middle" }, label);
      }
    });
  }

  line(mark, what) {
    let path = "";
    mark.values.forEach((value, place) => {
      if (value === null) return;
      const open = place > 0 && mark.values[place - 1] !== null;
      path += `${open ? "L" : "M"}${this.x(what.xs[place]).toFixed(1)},${this.y(value).toFixed(1)}`;
      // A point between two gaps is a dot.
      if (!open && (mark.values[place + 1] ?? null) === null) path += "h0.1";
    });
    const dashed = mark.dashed ? " dashed" : "";
    add(this.svg, "path", { class: `line${dashed}`, d: path, "stroke-linecap": "round" }).style.stroke = mark.colour;
  }

  band(mark, what) {
    this.fill("band", mark.colour, what.xs, mark.low, mark.high);
  }

  area(mark, what) {
    this.fill("area", mark.colour, what.xs, mark.bottoms, mark.tops);
  }

  fill(kind, colour, xs, low, high) {
    for (const [from, to] of runs(low, high)) {
      const places = Array.from({ length: to - from }, (_, place) => from + place);
      const at = (place, value) => `${this.x(xs[place]).toFixed(1)},${this.y(value).toFixed(1)}`;
      const there = places.map((place) => at(place, high[place]));
      const back = places.toReversed().map((place) => at(place, low[place]));
      add(this.svg, "path", { class: kind, d: `M${[...there, ...back].join("L")}Z` }).style.fill = colour;
    }
  }

  bars(mark, what) {
    const slot = this.inner.w / what.labels.length;
    const bar = (slot * 0.8) / mark.of;
    mark.values.forEach((value, place) => {
      const height = EDGE.top + this.inner.h - this.y(value);
      const x = this.x(place) - slot * 0.4 + bar * mark.place;
      const attributes = { class: "bar", x, y: this.y(value), width: Math.max(1, bar - 1), height };
      add(this.svg, "rect", attributes).style.fill = mark.colour;
    });
  }

  point(event) {
    const what = this.last;
    const count = what?.xs?.length ?? what?.labels?.length ?? 0;
    if (event === null || count === 0) {
      this.tip.style.visibility = "hidden";
      if (this.cursor) this.cursor.style.visibility = "hidden";
      return;
    }
    const box = this.svg.getBoundingClientRect();
    const x = event.clientX - box.left;
    const at = (place) => this.x(what.xs ? what.xs[place] : place);
    let nearest = 0;
    for (let place = 1; place < count; place += 1) {
      if (Math.abs(at(place) - x) < Math.abs(at(nearest) - x)) nearest = place;
    }
    const lines = what.marks.map((mark) => `${mark.name}  ${mark.say(nearest)}`);
    this.tip.textContent = [what.xs ? clock(what.xs[nearest]) : what.labels[nearest], ...lines].join("\n");
    const left = at(nearest);
    this.tip.style.left = left > this.width / 2 ? "auto" : `${left + 12}px`;
    this.tip.style.right = left > this.width / 2 ? `${this.width - left + 12}px` : "auto";
    this.tip.style.top = `${this.legend.offsetHeight + 12}px`;
    this.tip.style.visibility = "visible";
    this.cursor.setAttribute("x1", left);
    this.cursor.setAttribute("x2", left);
    this.cursor.style.visibility = "visible";
  }
}

// Yields [from, to) of each stretch where both edges are known.
function* runs(low, high) {
  let from = null;
  for (let place = 0; place <= low.length; place += 1) {
    const known = place < low.length && low[place] !== null && high[place] !== null;
    if (known && from === null) from = place;
    if (!known && from !== null) {
      yield [from, place];
      from = null;
    }
  }
}
