/**
 * Keyboard events, input methods, touch keyboards and pastes, as the browser reports them to one hidden text field; hands them to
 * `Input`. What was composed (dead keys, input methods) goes as text.
 */

import { keysymOfKey } from './keysyms.js';
import { textChange } from './keyboard.js';

/** @typedef {import('./input.js').Input} Input */

/** Something for the Backspace of a touch keyboard to erase. */
const PADDING = '________';
const BACKSPACE = /** @type {[string, number][]} */ ([['Backspace', keysymOfKey('Backspace', 0) ?? 0]]);
const ENTER = /** @type {[string, number][]} */ ([['Enter', keysymOfKey('Enter', 0) ?? 0]]);

/** @param {HTMLTextAreaElement} field @param {Input} input @param {(text: string) => void} paste gets what the browser's clipboard holds */
export function listenTyping(field, input, paste) {
  let composing = false;
  const empty = () => {
    field.value = PADDING;
    field.setSelectionRange(PADDING.length, PADDING.length);
  };
  const readChange = () => {
    const { erased, text } = textChange(PADDING, field.value);
    for (let count = 0; count < erased; count += 1) input.tap(BACKSPACE);
    text.split('\n').forEach((line, index) => {
      if (index > 0) input.tap(ENTER);
      input.text(line);
    });
    empty();
  };

  field.addEventListener('keydown', (event) => dealt(event, true));
  field.addEventListener('keyup', (event) => dealt(event, false));
  /** @param {KeyboardEvent} event @param {boolean} down */
  const dealt = (event, down) => {
    const { code, key, location, repeat, isComposing, keyCode, shiftKey, ctrlKey, altKey, metaKey } = event;
    const altGraph = event.getModifierState('AltGraph');
    const fields = { code, key, location, repeat, isComposing, keyCode, shiftKey, ctrlKey, altKey, metaKey, altGraph };
    if (!input.key(fields, down).prevent) return;
    event.preventDefault();
    event.stopPropagation();
  };
  field.addEventListener('compositionstart', () => (composing = true));
  field.addEventListener('compositionend', () => {
    composing = false;
    // Chromium sends `input` before this event, Firefox after it: read the field once both are through
    queueMicrotask(readChange);
  });
  field.addEventListener('input', () => {
    if (!composing) readChange();
  });
  field.addEventListener('paste', (event) => {
    event.preventDefault();
    paste(event.clipboardData?.getData('text/plain') ?? '');
  });
  for (const name of ['copy', 'cut', 'drop']) field.addEventListener(name, (event) => event.preventDefault());
  field.addEventListener('focus', empty);
  field.addEventListener('blur', () => {
    composing = false;
    field.value = '';
    input.release();
  });
  addEventListener('blur', () => input.release());
  addEventListener('pagehide', () => input.release());
  document.addEventListener('visibilitychange', () => document.hidden && input.release());
}

/** @returns {import('./keyboard.js').Platform} */
export function platform() {
  const agent = /** @type {{ userAgentData?: { platform: string } }} */ (navigator).userAgentData?.platform ?? navigator.platform;
  if (/mac|iphone|ipad/i.test(agent)) return 'mac';
  return /win/i.test(agent) ? 'windows' : 'linux';
}
