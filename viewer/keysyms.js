/**
 * X keysyms for what a browser reports of a key: by its character, by its name, by its place. Pure tables (keysymdef.h,
 * XF86keysym.h, and the rule that a Unicode character beyond Latin-1 is 0x01000000 plus its code point).
 */

const UNICODE = 0x01000000;

/** Names of KeyboardEvent.key that mean one keysym wherever the key is. @type {Record<string, number>} */
const NAMED = {
  Backspace: 0xff08, Tab: 0xff09, Clear: 0xff0b, Enter: 0xff0d, Pause: 0xff13, ScrollLock: 0xff14, Escape: 0xff1b,
  Delete: 0xffff, Home: 0xff50, ArrowLeft: 0xff51, ArrowUp: 0xff52, ArrowRight: 0xff53, ArrowDown: 0xff54,
  PageUp: 0xff55, PageDown: 0xff56, End: 0xff57, Select: 0xff60, PrintScreen: 0xff61, Execute: 0xff62, Insert: 0xff63,
  Undo: 0xff65, Redo: 0xff66, ContextMenu: 0xff67, Find: 0xff68, Cancel: 0xff69, Help: 0xff6a,
  CapsLock: 0xffe5, NumLock: 0xff7f, AltGraph: 0xfe03, Hyper: 0xffed, Super: 0xffeb,
  Again: 0xff66, Copy: 0x1008ff57, Cut: 0x1008ff58, Paste: 0x1008ff6d, Open: 0x1008ff6b, Save: 0x1008ff77,
  // Japanese, Korean and Chinese keyboards
  Convert: 0xff23, NonConvert: 0xff22, KanjiMode: 0xff21, Romaji: 0xff24, Hiragana: 0xff25, Katakana: 0xff26,
  HiraganaKatakana: 0xff27, Zenkaku: 0xff28, Hankaku: 0xff29, ZenkakuHankaku: 0xff2a, KanaMode: 0xff2d,
  Alphanumeric: 0xff30, Eisu: 0xff30, HangulMode: 0xff31, HanjaMode: 0xff34, JunjaMode: 0xff38, CodeInput: 0xff37,
  SingleCandidate: 0xff3c, AllCandidates: 0xff3d, PreviousCandidate: 0xff3e, ModeChange: 0xff7e,
  // media and browser keys
  AudioVolumeDown: 0x1008ff11, AudioVolumeMute: 0x1008ff12, AudioVolumeUp: 0x1008ff13, MicrophoneToggle: 0x1008ffb2,
  MediaPlayPause: 0x1008ff14, MediaPlay: 0x1008ff14, MediaStop: 0x1008ff15, MediaTrackPrevious: 0x1008ff16,
  MediaTrackNext: 0x1008ff17, MediaRecord: 0x1008ff1c, MediaPause: 0x1008ff31, MediaRewind: 0x1008ff3e,
  MediaFastForward: 0x1008ff97, Eject: 0x1008ff2c, BrowserBack: 0x1008ff26, BrowserForward: 0x1008ff27,
  BrowserStop: 0x1008ff28, BrowserRefresh: 0x1008ff29, BrowserSearch: 0x1008ff1b, BrowserFavorites: 0x1008ff30,
  BrowserHome: 0x1008ff18, LaunchMail: 0x1008ff19, LaunchCalculator: 0x1008ff1d, LaunchApplication1: 0x1008ff33,
  LaunchApplication2: 0x1008ff1d, LaunchCalendar: 0x1008ff20, LaunchMediaPlayer: 0x1008ff32, LaunchWebBrowser: 0x1008ff2e,
  BrightnessDown: 0x1008ff03, BrightnessUp: 0x1008ff02, Sleep: 0x1008ff2f, Standby: 0x1008ff10, WakeUp: 0x1008ff2b,
  Power: 0x1008ff2a, ZoomIn: 0x1008ff8b, ZoomOut: 0x1008ff8c, New: 0x1008ff68, Close: 0x1008ff56, Print: 0xff61,
};

/** Keys that exist on both sides: left (or where the place is unknown), right. @type {Record<string, [number, number]>} */
const SIDED = {
  Shift: [0xffe1, 0xffe2], Control: [0xffe3, 0xffe4], Alt: [0xffe9, 0xffea], Meta: [0xffeb, 0xffec], OS: [0xffeb, 0xffec],
};

/** Names of KeyboardEvent.key on the keypad. @type {Record<string, number>} */
const KEYPAD = {
  Enter: 0xff8d, Tab: 0xff89, ' ': 0xff80, Home: 0xff95, ArrowLeft: 0xff96, ArrowUp: 0xff97, ArrowRight: 0xff98,
  ArrowDown: 0xff99, PageUp: 0xff9a, PageDown: 0xff9b, End: 0xff9c, Clear: 0xff9d, Insert: 0xff9e, Delete: 0xff9f,
  '=': 0xffbd, '*': 0xffaa, '+': 0xffab, ',': 0xffac, '-': 0xffad, '.': 0xffae, '/': 0xffaf,
};

/** DOM codes and the character a US keyboard has there: for shortcuts under layouts without Latin letters. @type {Record<string, string>} */
const US_PUNCTUATION = {
  Minus: '-', Equal: '=', BracketLeft: '[', BracketRight: ']', Backslash: '\\', Semicolon: ';', Quote: "'", Backquote: '`',
  Comma: ',', Period: '.', Slash: '/', Space: ' ', IntlBackslash: '<',
};

const RIGHT = 2;
const ON_KEYPAD = 3;

/**
 * The keysym of one character. Control characters have the keysym of their key.
 * @param {string} character @returns {number}
 */
export function keysymOfCharacter(character) {
  const point = character.codePointAt(0) ?? 0;
  if (point === 0x0a || point === 0x0d) return NAMED.Enter;
  if (point === 0x09) return NAMED.Tab;
  if (point === 0x08) return NAMED.Backspace;
  if ((point >= 0x20 && point <= 0x7e) || (point >= 0xa0 && point <= 0xff)) return point;
  return UNICODE + point;
}

/** @param {string} key @returns {boolean} whether KeyboardEvent.key is one character, not a name */
export const isCharacter = (key) => key !== '' && [...key].length === 1;

/**
 * The keysym of a key; null if the browser does not say enough (dead, being composed, unidentified, unknown).
 * @param {string} key KeyboardEvent.key @param {number} location KeyboardEvent.location
 * @returns {number | null}
 */
export function keysymOfKey(key, location) {
  if (location === ON_KEYPAD) {
    if (/^[0-9]$/.test(key)) return 0xffb0 + Number(key);
    if (Object.hasOwn(KEYPAD, key)) return KEYPAD[key];
  }
  if (Object.hasOwn(SIDED, key)) return SIDED[key][location === RIGHT ? 1 : 0];
  if (Object.hasOwn(NAMED, key)) return NAMED[key];
  const functionKey = /^F([1-9]|[12]\d|3[0-5])$/.exec(key);
  if (functionKey) return 0xffbd + Number(functionKey[1]);
  return isCharacter(key) ? keysymOfCharacter(key) : null;
}

/**
 * The character a US keyboard has at a place, without Shift; null where it has none.
 * @param {string} code @returns {string | null}
 */
export function usCharacter(code) {
  const letter = /^Key([A-Z])$/.exec(code);
  if (letter) return letter[1].toLowerCase();
  const digit = /^Digit(\d)$/.exec(code);
  if (digit) return digit[1];
  return US_PUNCTUATION[code] ?? null;
}
