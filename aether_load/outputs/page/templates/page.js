// Puts an interactive chart in the place of each picture; a picture whose chart cannot be drawn stays.
const specifications = JSON.parse(document.getElementById("specifications").textContent);
const drawings = [...document.querySelectorAll("[data-chart]")].map(async (place) => {
  const specification = specifications[place.dataset.chart];
  const picture = place.innerHTML;
  // A legend goes down a phone's page, not over its edge.
  specification.config.legend.columns = Math.max(1, Math.floor(place.clientWidth / 180));
  try {
    // Nothing of what a chart is drawn from is fetched, and no editor elsewhere is offered.
    await window.draw(place, specification, {
      mode: "vega-lite",
      renderer: "svg",
      actions: { export: true, source: false, compiled: false, editor: false },
      downloadFileName: place.dataset.chart,
    });
    place.dataset.drawn = "yes";
  } catch (mistake) {
    place.innerHTML = picture;
    console.error(`chart ${place.dataset.chart}: ${mistake}`);
  }
});
await Promise.all(drawings);
document.documentElement.dataset.drawn = drawings.length;

// Paper has no summary to click.
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open]):not(#slowest details)")];
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});
