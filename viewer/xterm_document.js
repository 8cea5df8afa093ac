/**
 * A document for xterm.js in a page whose policy (CSP) allows no inline styles: what it writes into `<style>` elements and `style`
 * attributes reaches the page through the CSSOM, which the policy allows. xterm.js has no option for this (version 6).
 */

/** @returns {Document} */
export function documentWithoutInlineStyles() {
  const make = (/** @type {string} */ tag) => tamed(document.createElement(tag));
  return new Proxy(document, {
    get(target, name) {
      if (name === 'createElement') return make;
      const found = Reflect.get(target, name, target);
      return typeof found === 'function' ? found.bind(target) : found;
    },
  });
}

/** @param {HTMLElement} made @returns {HTMLElement} */
function tamed(made) {
  made.setAttribute = (name, value) => {
    if (name === 'style') made.style.cssText = value;
    else Element.prototype.setAttribute.call(made, name, value);
  };
  // it makes style elements in this document and in the real one, but puts all of them into elements of this one
  made.appendChild = (child) => {
    if (child instanceof HTMLStyleElement) throughSheet(child);
    return Node.prototype.appendChild.call(made, child), child;
  };
  return made;
}

/** Its text becomes a style sheet of the page for as long as the element is there. @param {HTMLStyleElement} style */
function throughSheet(style) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(style, 'textContent', { set: (/** @type {string} */ text) => sheet.replaceSync(text) });
  style.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
    Element.prototype.remove.call(style);
  };
}
