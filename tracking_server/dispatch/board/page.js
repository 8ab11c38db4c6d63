// Small things that every script of the board needs.

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Whether somebody is typing: keys are letters then, not commands. @param {EventTarget | null} at */
export function isTyping(at) {
  return at instanceof HTMLElement && at.matches("input, select, textarea, [contenteditable]");
}
