// Forms open in place, and the page is shared by the phone's own sheet. Without script both are pages of their own.

import { address, element } from "./page.js";

for (const link of document.querySelectorAll("[data-opens]")) {
  link.addEventListener("click", (event) => {
    if (!(link instanceof HTMLElement)) return;
    const dialog = document.getElementById(`form-${link.dataset.opens}`);
    if (!(dialog instanceof HTMLDialogElement)) return;
    event.preventDefault();
    dialog.showModal();
  });
}

for (const form of document.querySelectorAll('form[method="post"]')) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault(); // a second tap
    sent = true;
    setTimeout(() => (sent = false), 5_000);
  });
}

const share = element("share");
/** One second link, however often it is handed on. @type {string | undefined} */
let second;
if ("share" in navigator && share instanceof HTMLFormElement) {
  share.addEventListener("submit", async (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    if (!second) {
      const answer = await fetch(address("share"), { method: "POST", headers: { accept: "application/json" } });
      second = answer.ok ? ((await answer.json()).address ?? undefined) : undefined;
    }
    if (second) await navigator.share({ title: document.title, url: second }).catch(() => undefined);
    else share.submit(); // its own page says why there is none
  });
}
