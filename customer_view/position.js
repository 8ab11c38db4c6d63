// The technician's position: how old it is, in the server's words, and the map that shows it.

import { element } from "./page.js";

const STALE_AFTER_S = 60;
const HIDDEN_AFTER_S = 180; // an older position would be a guess
const EVERY_MS = 1_000;

const figure = element("position");
const age = element("age");
const ages = (age.dataset.ages ?? "").split("|");
const drawn = document.getElementById("map");

/** @typedef {{steadyMs: number, wallMs: number}} Moment on two clocks: one may stop while a phone sleeps, one be set */

/** When the shown position was measured. @type {Moment | undefined} */
let measured = age.dataset.age === undefined ? undefined : ago(Number(age.dataset.age));
/** @type {import("./connection.js").Position | undefined} */
let newest;
/** @type {Promise<import("./map.js").TechnicianMap | undefined> | undefined} */
let loading;

/** @param {import("./connection.js").Position} at */
export function showPosition(at) {
  measured = ago(at.age_s);
  newest = at;
  figure.hidden = false;
  sayAge();
  load().then((map) => {
    if (map && newest === at) map.move(at);
  });
}

export function hidePosition() {
  figure.hidden = true;
  measured = undefined;
  newest = undefined;
  loading?.then((map) => {
    if (!newest) map?.clear();
  });
}

/** The map comes when the page has nothing better to do, and only when there is something to show on it. */
function load() {
  loading ??= idle()
    .then(() => (drawn ? import("./map.js") : undefined))
    .then((module) => (drawn ? module?.drawMap(drawn) : undefined))
    .catch(() => undefined);
  return loading;
}

function idle() {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in window) requestIdleCallback(resolve, { timeout: 1_000 });
    else setTimeout(resolve, 200);
  });
}

/** @param {number} ageS @returns {Moment} */
function ago(ageS) {
  return { steadyMs: performance.now() - ageS * 1000, wallMs: Date.now() - ageS * 1000 };
}

function sayAge() {
  if (measured === undefined) return;
  const ageS = Math.max(0, performance.now() - measured.steadyMs, Date.now() - measured.wallMs) / 1000;
  if (ageS > HIDDEN_AFTER_S) {
    hidePosition();
    return;
  }
  const n = ageS < 60 ? Math.floor(ageS) : Math.min(59 + Math.floor(ageS / 60), ages.length - 1);
  if (age.textContent !== ages[n]) age.textContent = ages[n];
  const stale = ageS > STALE_AFTER_S;
  age.classList.toggle("old", stale);
  figure.classList.toggle("old", stale);
}

setInterval(sayAge, EVERY_MS);
