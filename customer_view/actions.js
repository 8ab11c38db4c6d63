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
if ("share" in navigator) {
  share.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(address("share"), { method: "POST", headers: { accept: "application/json" } });
    const { address: url } = answer.ok ? await answer.json() : { address: null };
    if (url) await navigator.share({ title: document.title, url }).catch(() => undefined);
  });
}
