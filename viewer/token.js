/**
 * The credential of a page: taken out of the URL's fragment (which no server, log or referrer sees) before anything else is
 * done, and kept for this tab, so that a reload works. Never in a URL again.
 */

/** @type {Map<string, string>} where storage is forbidden, as in some frames */
const memory = new Map();

/**
 * @param {string} field its name in the fragment: `token` or `key` @param {string} slot what it is for
 * @returns {string | null}
 */
export function takeCredential(field, slot) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const found = fragment.get(field);
  if (found !== null) {
    fragment.delete(field);
    const rest = fragment.toString();
    history.replaceState(history.state, '', location.pathname + location.search + (rest === '' ? '' : `#${rest}`));
  }
  if (found) keepCredential(slot, found);
  return found || recallCredential(slot);
}

/**
 * A link of this page that is opened in its own tab changes nothing but the fragment: the page begins anew, as in a tab of its own.
 * @param {string} field as above
 */
export function beginAnewWithLinks(field) {
  addEventListener('hashchange', () => {
    if (new URLSearchParams(location.hash.slice(1)).get(field)) location.reload();
  });
}

/** @param {string} slot @param {string} value */
export function keepCredential(slot, value) {
  memory.set(slot, value);
  try {
    sessionStorage.setItem(`desktop-sandbox:${slot}`, value);
  } catch {
    // a frame without storage: it lasts until the page is left
  }
}

/** @param {string} slot */
export function forgetCredential(slot) {
  memory.delete(slot);
  try {
    sessionStorage.removeItem(`desktop-sandbox:${slot}`);
  } catch {
    // as above
  }
}

/** @param {string} slot @returns {string | null} */
export function recallCredential(slot) {
  try {
    return memory.get(slot) ?? sessionStorage.getItem(`desktop-sandbox:${slot}`);
  } catch {
    return memory.get(slot) ?? null;
  }
}
