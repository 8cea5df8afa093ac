/**
 * Decides what the desktop gets for each key event of the browser: pure, time is passed in. It never lets a key stick: whatever
 * went down is known here until it goes up, and modifiers that an event shows to be up are released.
 *
 * Field lore: Windows reports AltGr as Control then Alt; macOS swallows the keyup of anything released while Cmd is down;
 * Windows reports only the keyup of PrintScreen, and one keyup for both Shifts; input methods report keyCode 229.
 * CapsLock and NumLock stay here: the local layout has already applied them to the character.
 */

import { isCharacter, keysymOfCharacter, keysymOfKey, usCharacter } from './keysyms.js';
import { message } from './wire.js';

/** @typedef {import('./wire.js').Message} Message */
/** @typedef {'mac' | 'windows' | 'linux'} Platform */
/**
 * What is read of a KeyboardEvent; `altGraph` is getModifierState('AltGraph').
 * @typedef {{ code: string, key: string, location: number, repeat?: boolean, isComposing?: boolean, keyCode?: number,
 *   shiftKey?: boolean, ctrlKey?: boolean, altKey?: boolean, metaKey?: boolean, altGraph?: boolean }} KeyFields
 */
/**
 * `prevent`: the browser must not act on it. `paste`: the browser will now give its clipboard, which must arrive first.
 * `leave`: the person asked for the page's own controls.
 * @typedef {{ messages: Message[], prevent: boolean, paste?: boolean, leave?: boolean }} Outcome
 */

/** A Control that comes this close before AltGr is Windows' own. */
export const PHANTOM_MS = 50;
const CONTROL_LEFT = 0xffe3;
const CONTROL_RIGHT = 0xffe4;
const BEING_COMPOSED = 229;
const LOCAL = new Set(['CapsLock', 'NumLock', 'Fn', 'FnLock', 'Symbol', 'SymbolLock']);
/** Toggles whose keyup browsers do not report reliably. */
const TAPPED = /^(Zenkaku|Hankaku|ZenkakuHankaku|Hiragana|Katakana|HiraganaKatakana|Romaji|KanaMode|Eisu|Alphanumeric|KanjiMode|HangulMode|HanjaMode|JunjaMode)$/;
const MODIFIER = /^(Shift|Control|Alt|AltGraph|Meta|OS)$/;
/** @type {[RegExp, 'shiftKey' | 'ctrlKey' | 'altKey' | 'metaKey'][]} */
const FLAG_OF = [[/^Shift/, 'shiftKey'], [/^Control/, 'ctrlKey'], [/^Alt/, 'altKey'], [/^(Meta|OS)/, 'metaKey']];

export class Keyboard {
  /** Keys the desktop holds down for us, by the code of this keyboard. @type {Map<string, { code: string, keysym: number }>} */
  #held = new Map();
  /** AltGr, or Option of a Mac: sent only if it did not just choose a character. @type {{ fields: KeyFields, sent: boolean, used: boolean } | null} */
  #level3 = null;
  /** @type {{ fields: KeyFields, since: number } | null} */
  #maybePhantom = null;
  #chord = false;

  /** @param {Platform} platform @param {{ commandIsControl?: boolean }} [options] whether a Mac's Cmd acts as Control */
  constructor(platform, { commandIsControl = true } = {}) {
    this.platform = platform;
    this.commandIsControl = commandIsControl;
  }

  get holding() {
    return this.#held.size > 0;
  }

  /** @returns {boolean} */
  get holdsControl() {
    return [...this.#held.values()].some(({ keysym }) => keysym === CONTROL_LEFT || keysym === CONTROL_RIGHT);
  }

  /** When `tick` is due, ms. @returns {number | null} */
  get due() {
    return this.#maybePhantom === null ? null : this.#maybePhantom.since + PHANTOM_MS;
  }

  /** @param {KeyFields} fields @param {number} now ms @returns {Outcome} */
  down(fields, now) {
    if (fields.isComposing || fields.keyCode === BEING_COMPOSED || fields.key === 'Process' || fields.key === 'Dead') {
      return { messages: [], prevent: false };
    }
    if (LOCAL.has(fields.key)) return { messages: [], prevent: false };
    if (fields.repeat) return { messages: [], prevent: true };
    const before = this.#settlePhantom(fields, now);
    const messages = [...before, ...this.#sync(fields)];
    this.#noteChord(fields);
    if (this.platform === 'windows' && fields.code === 'ControlLeft') {
      this.#maybePhantom = { fields, since: now };
      return { messages, prevent: true };
    }
    if (this.#isLevel3(fields)) {
      this.#level3 = { fields, sent: false, used: false };
      return { messages, prevent: true };
    }
    const keysym = this.#keysym(fields);
    if (keysym === null) return { messages, prevent: false };
    messages.push(...this.#withLevel3(fields), ...this.#press(fields, keysym));
    const paste = isPaste(fields);
    return paste ? { messages, prevent: false, paste } : { messages, prevent: true };
  }

  /** @param {KeyFields} fields @param {number} now @returns {Outcome} */
  up(fields, now) {
    const messages = this.#settlePhantom(fields, now);
    if (MODIFIER.test(fields.key) && this.#chord) {
      this.#chord = false;
      return { messages: [...messages, ...this.releaseAll()], prevent: true, leave: true };
    }
    if (this.#level3 !== null && fields.code === this.#level3.fields.code) messages.push(...this.#endLevel3());
    if (fields.key === 'PrintScreen' && !this.#held.has('PrintScreen')) {
      const keysym = keysymOfKey('PrintScreen', 0) ?? 0;
      return { messages: [...messages, message.key(true, 'PrintScreen', keysym), message.key(false, 'PrintScreen', keysym)], prevent: true };
    }
    const known = this.#held.has(fields.code);
    messages.push(...this.#letGo(fields.code));
    if (this.platform === 'mac' && /^(Meta|OS)/.test(fields.code)) messages.push(...this.#letGoAllButModifiers());
    messages.push(...this.#sync(fields));
    return { messages, prevent: known };
  }

  /** @param {number} now @returns {Message[]} */
  tick(now) {
    return this.due !== null && now >= this.due ? this.#flushPhantom() : [];
  }

  /**
   * Whatever is waiting to be sent goes out now, before a button or the wheel; a modifier that the event shows to be up is released.
   * @param {KeyFields | null} [flags] modifiers of that event @returns {Message[]}
   */
  settle(flags = null) {
    const messages = this.#flushPhantom();
    if (this.#level3 !== null && !this.#level3.sent && this.#level3.fields.key === 'Alt') messages.push(...this.#sendLevel3());
    return flags === null ? messages : [...messages, ...this.#sync(flags)];
  }

  /** Everything goes up. @returns {Message[]} */
  releaseAll() {
    this.#level3 = null;
    this.#maybePhantom = null;
    this.#chord = false;
    return [...this.#held.keys()].reverse().flatMap((code) => this.#letGo(code));
  }

  /** @param {KeyFields} fields @returns {boolean} */
  #isLevel3(fields) {
    return fields.key === 'AltGraph' || (this.platform === 'mac' && fields.key === 'Alt');
  }

  /** @param {KeyFields} fields @returns {number | null} */
  #keysym(fields) {
    if (this.platform === 'mac' && this.commandIsControl && fields.key === 'Meta') return fields.location === 2 ? CONTROL_RIGHT : CONTROL_LEFT;
    if (!isCharacter(fields.key)) return keysymOfKey(fields.key, fields.location);
    const shortcut = (fields.ctrlKey || fields.metaKey || fields.altKey) && !fields.altGraph && !this.#choosesCharacter(fields);
    const latin = (fields.key.codePointAt(0) ?? 0) < 0x80;
    const place = usCharacter(fields.code);
    if (shortcut && !latin && place !== null) return keysymOfCharacter(place);
    return keysymOfKey(fields.key, fields.location);
  }

  /** Whether AltGr or Option, and no other modifier, made this character. @param {KeyFields} fields @returns {boolean} */
  #choosesCharacter(fields) {
    if (this.#level3 === null || !isCharacter(fields.key)) return false;
    return this.#level3.fields.key === 'AltGraph' || !(fields.ctrlKey || fields.metaKey);
  }

  /** @param {KeyFields} fields @returns {Message[]} what has to be sent of AltGr or Option before this key */
  #withLevel3(fields) {
    const twoKeys = fields.altGraph && this.#level3 === null && isCharacter(fields.key);
    // Windows: Control and Alt held together are AltGr; the desktop must see neither
    if (twoKeys) return [...this.#held.keys()].filter((code) => /^(Control|Alt)/.test(code)).flatMap((code) => this.#letGo(code));
    if (this.#level3 === null || MODIFIER.test(fields.key)) return [];
    this.#level3.used = true;
    if (!this.#choosesCharacter(fields)) return this.#level3.sent ? [] : this.#sendLevel3();
    if (!this.#level3.sent) return [];
    this.#level3.sent = false;
    return this.#letGo(this.#level3.fields.code);
  }

  /** @returns {Message[]} */
  #sendLevel3() {
    if (this.#level3 === null) return [];
    this.#level3.sent = true;
    this.#level3.used = true;
    const { fields } = this.#level3;
    return this.#press(fields, keysymOfKey(fields.key, fields.location) ?? 0);
  }

  /** It went up: if it was pressed for itself, the desktop gets that. @returns {Message[]} */
  #endLevel3() {
    const tapped = this.#level3 !== null && !this.#level3.sent && !this.#level3.used;
    const messages = tapped ? this.#sendLevel3() : [];
    const code = this.#level3?.fields.code ?? '';
    this.#level3 = null;
    return [...messages, ...this.#letGo(code)];
  }

  /** @param {KeyFields} fields @param {number} keysym @returns {Message[]} */
  #press(fields, keysym) {
    const code = this.#codeSent(fields);
    const again = this.#letGo(fields.code);
    const swallowed = this.platform === 'mac' && fields.metaKey && !MODIFIER.test(fields.key);
    const down = message.key(true, code, keysym);
    if (swallowed || TAPPED.test(fields.key) || fields.code === '') return [...again, down, message.key(false, code, keysym)];
    this.#held.set(fields.code, { code, keysym });
    return [...again, down];
  }

  /** @param {KeyFields} fields @returns {string} */
  #codeSent(fields) {
    if (fields.code === '') return 'Unidentified';
    const command = this.platform === 'mac' && this.commandIsControl && fields.key === 'Meta';
    return command ? fields.code.replace(/^(Meta|OS)/, 'Control') : fields.code;
  }

  /** @param {string} code @returns {Message[]} */
  #letGo(code) {
    const held = this.#held.get(code);
    if (held === undefined) return [];
    this.#held.delete(code);
    return [message.key(false, held.code, held.keysym)];
  }

  /** @returns {Message[]} */
  #letGoAllButModifiers() {
    const codes = [...this.#held.keys()].filter((code) => !FLAG_OF.some(([of]) => of.test(code)));
    return codes.flatMap((code) => this.#letGo(code));
  }

  /** Releases modifiers that this event shows to be up: their keyup went elsewhere. @param {KeyFields} fields @returns {Message[]} */
  #sync(fields) {
    if (this.#level3?.fields.key === 'Alt' && fields.altKey === false && fields.code !== this.#level3.fields.code) this.#level3 = null;
    const stale = [...this.#held.keys()].filter((code) => {
      const flag = FLAG_OF.find(([of]) => of.test(code));
      if (flag === undefined || code === fields.code) return false;
      const isAltGraph = this.#held.get(code)?.keysym === 0xfe03;
      return isAltGraph ? fields.altGraph === false && fields.code !== code : fields[flag[1]] === false;
    });
    return stale.flatMap((code) => this.#letGo(code));
  }

  /** A Control that waits: dropped if AltGr follows at once, else sent before whatever follows. @param {KeyFields} fields @param {number} now @returns {Message[]} */
  #settlePhantom(fields, now) {
    if (this.#maybePhantom === null) return [];
    const close = now - this.#maybePhantom.since <= PHANTOM_MS;
    if (close && fields.key === 'AltGraph') {
      this.#maybePhantom = null;
      return [];
    }
    return this.#flushPhantom();
  }

  /** @returns {Message[]} */
  #flushPhantom() {
    if (this.#maybePhantom === null) return [];
    const { fields } = this.#maybePhantom;
    this.#maybePhantom = null;
    return this.#press(fields, CONTROL_LEFT);
  }

  /** Control, Alt and Shift, and nothing else: the way out for who has only a keyboard. @param {KeyFields} fields */
  #noteChord(fields) {
    this.#chord = MODIFIER.test(fields.key) && !!fields.ctrlKey && !!fields.altKey && !!fields.shiftKey;
  }
}

/** Whether the browser will answer this key with its clipboard. @param {KeyFields} fields @returns {boolean} */
export function isPaste(fields) {
  if (fields.key === 'Insert') return !!fields.shiftKey && !fields.ctrlKey && !fields.altKey;
  const letter = isCharacter(fields.key) && fields.key.charCodeAt(0) < 0x80 ? fields.key.toLowerCase() : usCharacter(fields.code);
  return letter === 'v' && !!(fields.ctrlKey || fields.metaKey) && !fields.altKey;
}

/**
 * What a touch keyboard did to a text field.
 * @param {string} before @param {string} after @returns {{ erased: number, text: string }} characters taken from the end, then added
 */
export function textChange(before, after) {
  const [old, now] = [[...before], [...after]];
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) same += 1;
  return { erased: old.length - same, text: now.slice(same).join('') };
}
