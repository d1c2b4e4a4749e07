// Shows the Aether page in Locust's own, while its Aether tab is the chosen one.
const home = new URL("..", import.meta.url);
let frame = null;
let height = null;

// The first of the tabs, and the one that a run is shown in unless the address names another.
let opened = new URLSearchParams(location.search).has("tab");

function putFirst() {
  const own = [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent.trim() === "Aether");
  if (own === undefined) return;
  if (own.style.order !== "-1") own.style.order = "-1";
  if (!opened) {
    opened = true;
    own.click();
  }
}

// What is sent is asked for before how many send it.
let unfolded = false;

function putScenarioFirst() {
  const heading = [...document.querySelectorAll("form button")].find((button) => button.textContent.includes("Custom parameters"));
  if (heading === undefined) {
    unfolded = false;
    return;
  }
  const box = heading.closest(".MuiAccordion-root");
  if (box !== null && box.style.order !== "-1") box.style.order = "-1";
  // Locust has them in the order of their names.
  const scenario = document.querySelector("form [name=scenario]")?.closest(".MuiFormControl-root");
  if (scenario && scenario.style.order !== "-1") scenario.style.order = "-1";
  if (!unfolded && heading.getAttribute("aria-expanded") === "false") heading.click();
  unfolded = true;
}

function chosen() {
  const tab = document.querySelector("[role=tab][aria-selected=true]");
  return tab !== null && tab.textContent.trim() === "Aether" ? tab.closest("[role=tablist]") : null;
}

// Locust has a switch of its own between light and dark, and no word for which it is but the colour of its page.
function theme() {
  const parts = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g);
  return parts && parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) < 384 ? "dark" : "light";
}

function paint() {
  const page = frame.contentDocument.documentElement;
  if (page.dataset.theme !== theme()) page.dataset.theme = theme();
  fit();
}

function fit() {
  if (frame !== null && frame.contentDocument.body !== null) {
    const end = frame.contentDocument.body.getBoundingClientRect().bottom + frame.contentWindow.scrollY;
    frame.style.height = `${Math.ceil(end) + 8}px`;
  }
}

function show(tabs) {
  frame = document.createElement("iframe");
  frame.id = "aether";
  frame.title = "Aether";
  frame.src = home.href;
  Object.assign(frame.style, { border: "0", width: "100%", height: "80vh", display: "block" });
  frame.addEventListener("load", () => {
    paint();
    height = new ResizeObserver(fit);
    height.observe(frame.contentDocument.body);
  });
  (tabs.closest(".MuiContainer-root") ?? document.body).append(frame);
}

function hide() {
  height?.disconnect();
  frame.remove();
  frame = null;
}

// Secret headers do not go to a host that is typed in here, and the form says so.
function sayOfHeaders() {
  const host = document.querySelector("input[name=host]");
  const said = document.querySelector("script[data-headers]").dataset.headers;
  if (host === null || said === "" || document.getElementById("aether-headers") !== null) return;
  const note = document.createElement("p");
  note.id = "aether-headers";
  note.textContent = said;
  Object.assign(note.style, { margin: "0", fontSize: "0.75rem", opacity: "0.75" });
  (host.closest(".MuiFormControl-root") ?? host).after(note);
}

function follow() {
  sayOfHeaders();
  putScenarioFirst();
  putFirst();
  const tabs = chosen();
  if (tabs === null && frame !== null) hide();
  if (tabs !== null && (frame === null || !frame.isConnected)) show(tabs);
}

new MutationObserver(follow).observe(document.body, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["aria-selected"],
});
setInterval(() => frame?.contentDocument?.readyState === "complete" && paint(), 500);
follow();
