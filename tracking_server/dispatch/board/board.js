// The board's connection and keys: it puts new rows in the place of old ones, and says so when it hears nothing.

import { boardOn, drawMap } from "./map.js";
import { element, isTyping } from "./page.js";

const QUIET_AFTER_MS = 30_000; // the server pings every 15 s
const REOPEN_AFTER_MS = 5_000; // a browser gives up for good after one 503: then we open anew, ever more slowly
const REOPEN_MOST_MS = 60_000;
const LOOK_EVERY_MS = 10_000;

/** @typedef {{order: string[], rows: Record<string, string>}} Changed */

const connection = element("connection");
const search = /** @type {HTMLInputElement} */ (element("search"));
const url = document.body.dataset.updates ?? "";
const drawing = drawMap(element("map")).then((map) => map && boardOn(map, addressOf));

/** What rows are to say, once nobody uses them. @type {Map<Element, string>} */
const later = new Map();

/** @type {EventSource | undefined} */
let source;
let over = false;
let waitMs = REOPEN_AFTER_MS;
let heardAt = performance.now();
/** @type {number | undefined} */
let reopening;

function open() {
  clearTimeout(reopening);
  if (over || document.hidden) return;
  source?.close();
  source = new EventSource(url);
  source.onopen = hear;
  source.addEventListener("ping", hear);
  source.addEventListener("rows", (event) => {
    hear();
    /** @type {Record<string, Changed>} */
    const lists = JSON.parse(event.data);
    for (const [name, changed] of Object.entries(lists)) {
      const list = document.getElementById(name);
      if (list) put(list, changed);
    }
    filter();
  });
  source.addEventListener("positions", async (event) => {
    hear();
    (await drawing)?.move(JSON.parse(event.data));
  });
  source.addEventListener("pins", async (event) => {
    hear();
    (await drawing)?.pin(JSON.parse(event.data));
  });
  source.addEventListener("end", () => {
    over = true;
    source?.close();
    location.reload(); // signed out, or another role: the page says which
  });
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) reopen();
  };
}

function reopen() {
  clearTimeout(reopening);
  reopening = setTimeout(open, waitMs * (1 + Math.random()));
  waitMs = Math.min(waitMs * 2, REOPEN_MOST_MS);
}

function hear() {
  heardAt = performance.now();
  waitMs = REOPEN_AFTER_MS;
  connection.hidden = true;
}

/**
 * Make a list what the server says it is. A row in which somebody types or chooses stays as it is until they are done.
 * @param {HTMLElement} list
 * @param {Changed} changed
 */
function put(list, changed) {
  const kept = new Map([...list.children].map((row) => [row.id, row]));
  for (const [id, html] of Object.entries(changed.rows)) {
    let row = kept.get(id);
    if (!row) {
      row = document.createElement("div");
      row.id = id;
      row.className = "row";
      kept.set(id, row);
    }
    later.set(row, html);
  }
  writeRows();
  const order = new Set(changed.order);
  for (const [id, row] of kept) {
    if (order.has(id)) continue;
    later.delete(row);
    row.remove();
  }
  const stood = document.activeElement;
  /** @type {Element | null} */
  let after = null;
  for (const id of order) {
    const row = kept.get(id);
    if (!row) continue;
    /** @type {Element | null} */
    const next = after ? after.nextElementSibling : list.firstElementChild;
    if (row !== next) list.insertBefore(row, next);
    after = row;
  }
  // A row that is moved loses the keyboard.
  if (stood instanceof HTMLElement && list.contains(stood)) stood.focus({ preventScroll: true });
}

/** Write what has come for rows, but for those in use: their turn is when they are left. */
function writeRows() {
  for (const [row, html] of later) {
    if (inUse(row)) continue;
    later.delete(row);
    const place = stopsIn(row).findIndex((stop) => stop === document.activeElement);
    row.innerHTML = html;
    stopsIn(row)[place]?.focus();
  }
}

/** What the keyboard can stand on. @param {Element} row @returns {HTMLElement[]} */
function stopsIn(row) {
  return [...row.querySelectorAll("a, button, summary, [tabindex]")].filter((stop) => stop instanceof HTMLElement);
}

/** @param {Element} row */
function inUse(row) {
  if (isTyping(document.activeElement) && row.contains(document.activeElement)) return true;
  if (row.querySelector("details[open]")) return true;
  return [...row.querySelectorAll("select")].some((choice) => choice.selectedIndex > 0);
}

/** @param {string} job */
function addressOf(job) {
  const address = new URL(location.href);
  address.searchParams.set("job", job);
  return address.href;
}

/** What is typed into the search narrows the list at once; Enter asks the server. */
function filter() {
  const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  for (const row of element("jobs").children) {
    const job = row.querySelector(".job");
    if (!(job instanceof HTMLElement) || !(row instanceof HTMLElement)) continue;
    const text = `${row.textContent} ${job.dataset.address}`.toLocaleLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
}

/** Arrow keys go through the rows of the list they are in. @param {KeyboardEvent} event */
function step(event) {
  const list = document.activeElement?.closest("[data-list]");
  const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (!list || !by) return;
  const stops = /** @type {HTMLElement[]} */ ([...list.querySelectorAll(".row:not([hidden]) :is(.job, .technician)")]);
  const at = stops.findIndex((stop) => stop === document.activeElement || stop.contains(document.activeElement));
  const next = stops[at + by];
  if (at < 0 || !next) return;
  event.preventDefault();
  next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape" && event.target === search) {
      search.value = "";
      filter();
    }
    return;
  }
  if (event.target instanceof Element && event.target.closest(".map")) return;
  if (event.key === "/") {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape") {
    /** @type {HTMLElement | null} */ (document.querySelector("a.close"))?.click();
  } else step(event);
});
search.addEventListener("input", filter);
for (const left of ["focusout", "change", "toggle"]) {
  document.addEventListener(left, () => setTimeout(writeRows), true);
}
element("days").addEventListener("change", (event) => {
  if (event.target instanceof HTMLInputElement) event.target.form?.requestSubmit();
});
element("technicians").addEventListener("click", async (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const row = target?.closest("[data-technician]");
  if (row instanceof HTMLElement && !target?.closest("a")) (await drawing)?.show(row.dataset.technician ?? "");
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else open();
});
setInterval(async () => {
  if (!over && !document.hidden && performance.now() - heardAt > QUIET_AFTER_MS) connection.hidden = false;
  (await drawing)?.grow();
}, LOOK_EVERY_MS);
if (matchMedia("(min-width: 64rem)").matches) {
  element("jobs").querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}
filter();
open();
