// The page's own elements and addresses.

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

const page = element("page");

/** The address of a part of this page, in its language. @param {string} part */
export function address(part) {
  return `${page.dataset.base}/${part}?lang=${page.dataset.language}`;
}
