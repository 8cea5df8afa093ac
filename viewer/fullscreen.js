/** Fullscreen, with the keys that the system would else take (Chromium only), and a word where the embedding page forbids it. */

/** @typedef {{ lock?: (codes?: string[]) => Promise<void>, unlock?: () => void }} KeyboardLock */

/** @param {HTMLElement} page @param {import('./notes.js').Notes} notes */
export async function toggleFullscreen(page, notes) {
  if (document.fullscreenElement !== null) return document.exitFullscreen();
  if (!document.fullscreenEnabled) {
    const embedded = window.parent !== window;
    const hint = embedded ? 'The page that embeds this one must allow fullscreen.' : '';
    return notes.show('fullscreen', { text: 'Fullscreen is not possible here.', hint, tone: 'bad' });
  }
  try {
    await page.requestFullscreen({ navigationUI: 'hide' });
    // Escape and the system's keys go to the desktop; the browser leaves fullscreen when Escape is held
    await keyboardLock()?.lock?.().catch(() => undefined);
  } catch {
    notes.show('fullscreen', { text: 'The browser refused fullscreen.', tone: 'bad' });
  }
}

/** @param {() => void} changed */
export function listenFullscreen(changed) {
  document.addEventListener('fullscreenchange', () => {
    if (document.fullscreenElement === null) keyboardLock()?.unlock?.();
    changed();
  });
}

/** @returns {KeyboardLock | undefined} */
function keyboardLock() {
  return /** @type {{ keyboard?: KeyboardLock }} */ (navigator).keyboard;
}
