/**
 * A document for xterm.js in a page whose policy (CSP) allows no inline styles: what it writes into `<style>` elements and `style`
 * attributes reaches the page through the CSSOM, which the policy allows. xterm.js has no option for this (version 6).
 */

/** @returns {Document} makes elements whose `<style>` children become style sheets of the page */
export function documentWithoutInlineStyles() {
  setSpanStylesByCssom();
  const make = (/** @type {string} */ tag) => tamed(document.createElement(tag));
  return new Proxy(document, {
    get(target, name) {
      if (name === 'createElement') return make;
      const found = Reflect.get(target, name, target);
      return typeof found === 'function' ? found.bind(target) : found;
    },
  });
}

/** Colours of 24 bits are attributes of spans, which it makes in the real document: the same, in the way that is allowed. */
function setSpanStylesByCssom() {
  HTMLSpanElement.prototype.setAttribute = function (/** @type {string} */ name, /** @type {string} */ value) {
    if (name === 'style') this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };
}

/** @param {HTMLElement} made @returns {HTMLElement} */
function tamed(made) {
  // it makes style elements in this document and in the real one, but puts all of them into elements of this one
  made.appendChild = (child) => {
    // not even an empty one may be put into the page
    if (child instanceof HTMLStyleElement) throughSheet(child);
    else Node.prototype.appendChild.call(made, child);
    return child;
  };
  return made;
}

/** Its text becomes a style sheet of the page, until it is removed. @param {HTMLStyleElement} style */
function throughSheet(style) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(style, 'textContent', { set: (/** @type {string} */ text) => sheet.replaceSync(text) });
  style.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
  };
}
