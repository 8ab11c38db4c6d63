// Takes an update into the page. Only what became another is replaced: what did not change is not read out again.

import { element } from "./page.js";
import { hidePosition } from "./position.js";

const status = element("status");

/** @param {string} html */
export function showUpdate(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const fresh = template.content.firstElementChild;
  const shown = status.firstElementChild;
  if (!(fresh instanceof HTMLElement) || !shown) return;
  patch(shown, fresh);
  const actions = new Set((fresh.dataset.actions ?? "").split(" "));
  for (const offered of document.querySelectorAll("[data-action]")) {
    if (offered instanceof HTMLElement) offered.hidden = !actions.has(offered.dataset.action ?? "");
  }
  const reached = new Set((fresh.dataset.reached ?? "").split(" "));
  for (const note of document.querySelectorAll("[data-note]")) {
    const line = note.querySelector(".reached");
    if (!(line instanceof HTMLElement && note instanceof HTMLElement)) continue;
    line.hidden = !reached.has(note.dataset.note ?? "");
    line.textContent = line.hidden ? "" : (fresh.dataset.onPhone ?? "");
  }
  if (fresh.dataset.position !== "shown") hidePosition();
}

/** @param {Element} shown @param {Element} fresh */
function patch(shown, fresh) {
  if (shown.isEqualNode(fresh)) return;
  const [old, young] = [[...shown.children], [...fresh.children]];
  const alike = old.length === young.length && young.length > 0 && young.every((child, n) => child.tagName === old[n].tagName);
  const onlyElements = ![...fresh.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.nodeValue?.trim());
  if (shown.tagName !== fresh.tagName || !alike || !onlyElements) {
    shown.replaceWith(fresh.cloneNode(true));
    return;
  }
  for (const { name, value } of fresh.attributes) shown.setAttribute(name, value);
  for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
  young.forEach((child, n) => patch(old[n], child));
}
