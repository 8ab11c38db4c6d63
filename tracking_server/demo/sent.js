// New messages come in at the top. A mail's frame is as high as the mail.

const list = /** @type {HTMLElement} */ (document.getElementById("sent"));

/** @param {ParentNode} where */
function fitFrames(where) {
  for (const frame of where.querySelectorAll("iframe")) {
    const fit = () => {
      const inside = frame.contentDocument;
      if (inside) frame.height = String(inside.documentElement.scrollHeight);
    };
    frame.addEventListener("load", fit);
    fit();
  }
}

const updates = new EventSource(`/updates?after=${document.body.dataset.last}`);
updates.addEventListener("message", (update) => {
  const holder = document.createElement("template");
  holder.innerHTML = update.data;
  const one = holder.content.firstElementChild;
  if (!one || document.getElementById(one.id)) return;
  one.classList.add("new");
  list.prepend(one);
  fitFrames(one);
});

fitFrames(list);
