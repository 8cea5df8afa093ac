/** The figures of the statistics panel, from what the streamer, the browser and each shown frame say. Pure; times in ms. */

import { capturedAt } from './pulse.js';

/** @typedef {import('./wire.js').Stats} Stats */
/** @typedef {import('./webrtc.js').FrameFacts} FrameFacts */
/** @typedef {{ name: string, value: number | string | null, unit: string, stage?: boolean }} Figure */

const WINDOW_MS = 1000;
const MOST_FRAMES = 240;

export class Frames {
  /** @type {{ shown: number, age: number | null, decode: number | null, inBrowser: number | null, network: number | null }[]} */
  #recent = [];
  total = 0;

  /**
   * @param {FrameFacts} facts @param {Stats | null} stats the newest @param {import('./pulse.js').Clock} clock
   */
  add(facts, stats, clock) {
    const captured = facts.capturedMs ?? (facts.rtp !== undefined && stats?.clock ? capturedAt(facts.rtp, stats.clock) : null);
    const age = captured === null ? null : clock.age(captured, facts.shown);
    const arrived = captured === null || facts.received === undefined ? null : clock.age(captured, facts.received);
    const before = stats === null ? 0 : (stats.ms.captured ?? 0) + (stats.ms.encoded ?? 0) + (stats.ms.sent ?? 0);
    const inBrowser = facts.received === undefined ? null : Math.max(0, facts.shown - facts.received);
    this.#recent.push({ shown: facts.shown, age, decode: facts.decodeMs ?? null, inBrowser, network: arrived === null ? null : Math.max(0, arrived - before) });
    if (this.#recent.length > MOST_FRAMES) this.#recent.shift();
    this.total += 1;
  }

  /** Medians of the last second. @param {number} now */
  summary(now) {
    const recent = this.#recent.filter(({ shown }) => now - shown <= WINDOW_MS);
    const of = (/** @type {'age' | 'decode' | 'inBrowser' | 'network'} */ field) => median(recent.map((one) => one[field]));
    return { fps: recent.length, age: of('age'), decode: of('decode'), inBrowser: of('inBrowser'), network: of('network') };
  }
}

/** @param {(number | null)[]} values @returns {number | null} */
export function median(values) {
  const known = values.filter((value) => value !== null).sort((one, other) => one - other);
  return known.length === 0 ? null : known[Math.floor(known.length / 2)];
}

/**
 * @param {Stats | null} stats @param {ReturnType<Frames['summary']>} shown @param {Record<string, unknown>} report of the browser @param {number | null} roundTripMs
 * @returns {Figure[]}
 */
export function figures(stats, shown, report, roundTripMs) {
  const number = (/** @type {unknown} */ value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
  const ms = stats?.ms ?? {};
  const lost = number(report.packetsLost);
  return [
    { name: 'Capture', value: number(ms.captured), unit: 'ms', stage: true },
    { name: 'Encode', value: number(ms.encoded), unit: 'ms', stage: true },
    { name: 'Send', value: number(ms.sent), unit: 'ms', stage: true },
    { name: 'Network', value: shown.network ?? (roundTripMs === null ? null : roundTripMs / 2), unit: 'ms', stage: true },
    { name: 'Decode and show', value: shown.inBrowser ?? shown.decode, unit: 'ms', stage: true },
    { name: 'Age of picture', value: shown.age, unit: 'ms' },
    { name: 'Decode', value: shown.decode, unit: 'ms' },
    { name: 'Round trip', value: number(stats?.rtt_ms) ?? roundTripMs, unit: 'ms' },
    { name: 'Frames shown', value: shown.fps, unit: '/s' },
    { name: 'Frames sent', value: number(stats?.fps), unit: '/s' },
    { name: 'Frames dropped', value: number(stats?.frames.dropped), unit: '' },
    { name: 'Bitrate', value: number(stats?.bitrate_kbps), unit: 'kbit/s' },
    { name: 'Target', value: number(stats?.target_kbps), unit: 'kbit/s' },
    { name: 'Loss', value: stats === null ? null : (number(stats.loss) ?? 0) * 100, unit: '%' },
    { name: 'Packets lost', value: lost, unit: '' },
    { name: 'Packets sent twice', value: number(stats?.repeated), unit: '' },
    { name: 'Keyframes', value: number(stats?.keyframes), unit: '' },
    { name: 'Viewers', value: number(stats?.viewers), unit: '' },
  ];
}

/** @param {Figure} figure @returns {string} */
export function readable({ value, unit }) {
  if (value === null) return '–';
  if (typeof value === 'string') return value;
  const rounded = value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toFixed(1);
  return unit === '' ? rounded : `${rounded} ${unit}`;
}
