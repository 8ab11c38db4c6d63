// The page's connection: it shows what the server sends and says so when it hears nothing.

const QUIET_AFTER_MS = 30_000; // the server pings every 15 s
const REOPEN_AFTER_MS = 5_000; // a browser gives up for good after one 503: then we open anew, ever more slowly
const REOPEN_MOST_MS = 60_000;
const AGED_AFTER_MS = 60_000; // an older position is in the server's words
const HIDDEN_AFTER_MS = 180_000; // an older one would be a guess
const AGE_EVERY_MS = 10_000;
const GONE = 410;

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
let waitMs = REOPEN_AFTER_MS;
/** @type {number | undefined} */
let reopening;
let heardAt = performance.now();
/** When the shown position was measured, on this page's own monotonic clock. @type {number | undefined} */
let measuredAt;

function open() {
  clearTimeout(reopening);
  if (over || document.hidden) return;
  source?.close();
  source = new EventSource(url);
  source.onopen = hear;
  source.addEventListener("ping", hear);
  source.addEventListener("status", (event) => {
    hear();
    status.innerHTML = event.data;
    if (!status.querySelector('[data-position="shown"]')) hidePosition();
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
    reloadIfGone();
  });
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) askAndReopen();
  };
}

/** The stream was refused: is the link over, or is it the server that is away for a while? */
async function askAndReopen() {
  if (await reloadIfGone()) return;
  clearTimeout(reopening);
  reopening = setTimeout(open, waitMs * (1 + Math.random()));
  waitMs = Math.min(waitMs * 2, REOPEN_MOST_MS);
}

async function reloadIfGone() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.status !== GONE) return false;
  } catch {
    return false;
  }
  over = true;
  location.reload();
  return true;
}

function hear() {
  heardAt = performance.now();
  waitMs = REOPEN_AFTER_MS;
  connection.hidden = true;
}

function hidePosition() {
  position.hidden = true;
  measuredAt = undefined;
  delete position.dataset.lon;
  delete position.dataset.lat;
}

/** Within the first minute the page says so itself. Without news a position grows old here too, and is then dropped. */
function sayAge() {
  const ageMs = measuredAt === undefined ? Infinity : performance.now() - measuredAt;
  if (ageMs >= HIDDEN_AFTER_MS) hidePosition();
  position.hidden = ageMs >= AGED_AFTER_MS;
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
