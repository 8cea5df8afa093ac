/** What the desktop copied, into this computer's clipboard: at once where the browser allows it, else by a button. */

/** @typedef {import('./notes.js').Notes} Notes */

/** @param {string} text @param {Notes} notes */
export async function copyHere(text, notes) {
  if (text === '') return;
  if (await written(text)) return notes.hide('copy');
  notes.show('copy', {
    text: 'The desktop copied text.',
    hint: globalThis.isSecureContext ? '' : 'Over plain HTTP a press is needed each time.',
    lastsMs: 20_000,
    actions: [{ text: 'Copy it here', primary: true, run: () => void copyNow(text, notes) }],
  });
}

/** After a press. @param {string} text @param {Notes} notes */
export async function copyNow(text, notes) {
  if ((await written(text)) || selectedAndCopied(text)) return notes.show('copy', { text: 'Copied.', lastsMs: 1500 });
  notes.show('copy', { text: 'This browser did not let the page copy.', hint: 'The page that embeds this one must allow clipboard-write.', tone: 'bad' });
}

/** @param {string} text @returns {Promise<boolean>} */
async function written(text) {
  if (!navigator.clipboard?.writeText || !document.hasFocus()) return false;
  return navigator.clipboard.writeText(text).then(() => true, () => false);
}

/** The old way, for pages without the clipboard interface. @param {string} text @returns {boolean} */
function selectedAndCopied(text) {
  const before = document.activeElement;
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'offscreen';
  document.body.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}
