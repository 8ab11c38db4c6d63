// How news comes: a stream; where a network holds streams back, a question every 20 s. Both say the same.

import { address, element } from "./page.js";

const QUIET_AFTER_MS = 30_000; // the server pings every 15 s
const SILENT_AFTER_MS = 10_000; // a stream says something at once
const SILENT_OPENS = 2; // so many silent streams, and we ask instead
const ASK_EVERY_MS = 20_000;
const REOPEN_AFTER_MS = 1_000; // a browser gives up for good after one 503: then we open anew, ever more slowly
const REOPEN_SOON_MS = 3_000; // a deploy is over in a minute or two, and then the page is right within five seconds
const SOON_MS = 120_000;
const REOPEN_MOST_MS = 30_000;
const LOOK_EVERY_MS = 5_000;
const GONE = 410;

/**
 * @typedef {{lon: number, lat: number, accuracy_m: number | null, course_deg: number | null, age_s: number}} Position
 * @typedef {{update: (html: string) => void, position: (at: Position) => void, end: () => void}} Reader
 */

const connection = element("connection");

/** @type {EventSource | undefined} */
let source;
/** @type {number | undefined} */
let next;
let over = false;
let silentOpens = 0;
let waitMs = REOPEN_AFTER_MS;
let heardAt = performance.now();
let begunAt = heardAt;

/** Listen until nothing more may come. @param {Reader} reader */
export function open(reader) {
  document.addEventListener("visibilitychange", () => {
    close();
    silentOpens = 0;
    heardAt = performance.now();
    if (!document.hidden) begin(reader);
  });
  setInterval(() => {
    const quiet = !over && !document.hidden && performance.now() - heardAt > QUIET_AFTER_MS;
    const words = quiet ? (connection.dataset.quiet ?? "") : "";
    if (connection.textContent !== words) connection.textContent = words;
    // A connection can die without a word: nobody but the clock notices.
    if (quiet && performance.now() - begunAt > QUIET_AFTER_MS) begin(reader);
  }, LOOK_EVERY_MS);
  begin(reader);
}

/** @param {Reader} reader */
function begin(reader) {
  close();
  if (over || document.hidden) return;
  begunAt = performance.now();
  if (silentOpens >= SILENT_OPENS) ask(reader);
  else listen(reader);
}

function close() {
  clearTimeout(next);
  source?.close();
  source = undefined;
}

/** @param {Reader} reader @param {number} afterMs */
function later(reader, afterMs) {
  clearTimeout(next);
  next = setTimeout(() => begin(reader), afterMs * (1 + Math.random() / 2));
}

/** @param {Reader} reader */
function listen(reader) {
  const stream = new EventSource(address("updates"));
  source = stream;
  next = setTimeout(() => {
    silentOpens += 1;
    begin(reader);
  }, SILENT_AFTER_MS);
  const hear = () => {
    clearTimeout(next);
    silentOpens = 0;
    heard();
  };
  stream.addEventListener("ping", hear);
  stream.addEventListener("status", (event) => {
    hear();
    reader.update(event.data);
  });
  stream.addEventListener("position", (event) => {
    hear();
    reader.position(JSON.parse(event.data));
  });
  stream.addEventListener("end", () => {
    finish(reader);
    look();
  });
  stream.onerror = () => {
    if (stream.readyState !== EventSource.CLOSED || source !== stream) return;
    close();
    look().finally(() => {
      if (over) return;
      later(reader, waitMs);
      waitMs = Math.min(waitMs * 2, performance.now() - heardAt < SOON_MS ? REOPEN_SOON_MS : REOPEN_MOST_MS);
    });
  };
}

/** @param {Reader} reader */
async function ask(reader) {
  try {
    const answer = await look();
    if (answer?.ok) {
      /** @type {{status: string, position: Position | null, more: boolean}} */
      const news = await answer.json();
      heard();
      reader.update(news.status);
      if (news.position) reader.position(news.position);
      if (!news.more) return finish(reader);
    }
  } catch {
    // what was cut off is asked for again
  }
  if (!over && !document.hidden) later(reader, ASK_EVERY_MS);
}

/** What the page would show now; reloads the page when its link is over. */
async function look() {
  try {
    const answer = await fetch(address("status"), { cache: "no-store" });
    if (answer.status === GONE) {
      over = true;
      location.reload();
    }
    return answer;
  } catch {
    return undefined;
  }
}

function heard() {
  heardAt = performance.now();
  waitMs = REOPEN_AFTER_MS;
  if (connection.textContent) connection.textContent = "";
}

/** @param {Reader} reader */
function finish(reader) {
  over = true;
  close();
  reader.end();
}
