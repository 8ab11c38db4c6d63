// The page's connection: it shows what the server sends and says so when it hears nothing.

const QUIET_AFTER_MS = 30_000; // the server pings every 15 s
const REOPEN_AFTER_MS = 5_000; // a browser gives up for good after one 503: then we open anew, with jitter
const AGE_EVERY_MS = 10_000;

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

const status = element("status");
const position = element("position");
const connection = element("connection");
const url = document.body.dataset.updates ?? "";

/** @type {EventSource | undefined} */
let source;
let over = false;
let heardAt = performance.now();
/** When the shown position was measured, on this page's own monotonic clock. @type {number | undefined} */
let measuredAt;

function open() {
  if (over || document.hidden) return;
  source?.close();
  source = new EventSource(url);
  source.onopen = hear;
  source.addEventListener("ping", hear);
  source.addEventListener("status", (event) => {
    hear();
    status.innerHTML = event.data;
    hidePosition();
  });
  source.addEventListener("position", (event) => {
    hear();
    /** @type {{lon: number, lat: number, age_s: number}} */
    const at = JSON.parse(event.data);
    measuredAt = performance.now() - at.age_s * 1000;
    position.dataset.lon = String(at.lon);
    position.dataset.lat = String(at.lat);
    sayAge();
  });
  source.addEventListener("end", () => {
    over = true;
    source?.close();
    hidePosition();
  });
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) setTimeout(open, REOPEN_AFTER_MS * (1 + Math.random()));
  };
}

function hear() {
  heardAt = performance.now();
  connection.hidden = true;
}

function hidePosition() {
  position.hidden = true;
  measuredAt = undefined;
  delete position.dataset.lon;
  delete position.dataset.lat;
}

/** Within the first minute the page says so itself; an older position is in the server's words. */
function sayAge() {
  position.hidden = measuredAt === undefined || performance.now() - measuredAt >= 60_000;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else open();
});
setInterval(() => {
  sayAge();
  if (!over && !document.hidden && performance.now() - heardAt > QUIET_AFTER_MS) connection.hidden = false;
}, AGE_EVERY_MS);
open();
