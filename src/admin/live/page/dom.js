// The document: elements by id, new ones, lists that keep theirs. Text goes in as text only, so
// nothing that a topic or a payload contains can become a part of the page.

/** The element of index.html with this id. @param {string} id @returns {any} */
export const part = (id) => document.getElementById(id);

/**
 * A new element.
 * @param {string} name its tag, with classes behind dots: `td.number.far`
 * @param {...(Node|string)} children
 * @returns {any}
 */
export function make(name, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  element.append(...children);
  return element;
}

/** Shows `text`; leaves the element alone if it does, so that nobody hears it twice. @param {any} element @param {string} text */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A list in the document that keeps the elements of what stays, and the focus in them.
 * @template T
 * @param {Element} parent
 * @param {(item: T) => unknown} keyOf
 * @param {(item: T) => { element: Element, update(item: T): void }} create
 * @returns {(items: T[]) => void} shows these, in this order
 */
export function list(parent, keyOf, create) {
  /** @type {Map<unknown, ReturnType<typeof create>>} */
  let rows = new Map();
  return (items) => {
    const focused = /** @type {HTMLElement?} */ (document.activeElement);
    const old = rows;
    rows = new Map();
    for (const item of items) rows.set(keyOf(item), old.get(keyOf(item)) ?? create(item));
    for (const [key, row] of old) if (!rows.has(key)) row.element.remove();
    let place = parent.firstElementChild;
    for (const item of items) {
      const row = rows.get(keyOf(item));
      row.update(item);
      if (row.element === place) place = place.nextElementSibling;
      else parent.insertBefore(row.element, place);
    }
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
  };
}
