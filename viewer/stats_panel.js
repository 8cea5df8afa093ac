/** The statistics panel: figures as a table, the stages of latency as one bar, and all of it as JSON to copy. */

import { copyNow } from './clipboard.js';
import { element, setText } from './dom.js';
import { figures, Frames, readable } from './figures.js';
import { message } from './wire.js';

/** @typedef {import('./wire.js').Stats} Stats */

const EVERY_MS = 1000;

export class StatsPanel {
  frames = new Frames();
  /** @type {Stats | null} */
  #stats = null;
  /** @type {Map<string, HTMLElement>} */
  #cells = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {Record<string, unknown>} */
  #last = {};

  /** @param {HTMLElement} panel @param {import('./session.js').Session} session @param {import('./notes.js').Notes} notes */
  constructor(panel, session, notes) {
    this.panel = panel;
    this.session = session;
    this.table = /** @type {HTMLElement} */ (panel.querySelector('dl'));
    this.bar = /** @type {HTMLElement} */ (panel.querySelector('.stages'));
    this.facts = /** @type {HTMLElement} */ (panel.querySelector('.facts'));
    panel.querySelector('[data-copy]')?.addEventListener('click', () => void copyNow(JSON.stringify(this.#last, null, 2), notes));
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** @param {boolean} open */
  setOpen(open) {
    this.panel.hidden = !open;
    this.ask();
    clearInterval(this.#timer);
    if (open) this.#timer = setInterval(() => void this.#refresh(), EVERY_MS);
    if (open) void this.#refresh();
  }

  /** Asks the streamer for its figures while someone looks at them; again after each connection. */
  ask() {
    this.session.send(message.stats(this.isOpen));
  }

  /** @param {Stats} stats */
  take(stats) {
    this.#stats = stats;
  }

  /** @param {import('./webrtc.js').FrameFacts} facts */
  frame(facts) {
    this.frames.add(facts, this.#stats, this.session.clock);
  }

  async #refresh() {
    const report = await this.session.report();
    const shown = this.frames.summary(performance.now());
    const rows = figures(this.#stats, shown, report, this.session.clock.roundTripMs);
    const kind = this.session.connection.shown;
    const transport = kind === 'webrtc' ? 'WebRTC' : kind === 'socket' ? 'WebSocket' : 'none';
    setText(this.facts, [transport, this.#stats?.codec].filter(Boolean).join(' · '));
    for (const row of rows) setText(this.#cell(row.name), readable(row));
    const stages = rows.filter(({ stage }) => stage);
    this.bar.replaceChildren(...stages.map(({ name, value, unit }) => {
      const part = element('span', { title: `${name}: ${readable({ name, value, unit })}` });
      part.style.flexGrow = String(typeof value === 'number' ? Math.max(value, 0.2) : 0);
      return part;
    }));
    const values = Object.fromEntries(rows.map(({ name, value, unit }) => [unit === '' ? name : `${name} (${unit})`, value]));
    this.#last = { at: new Date().toISOString(), transport, figures: values, streamer: this.#stats, browser: report };
  }

  /** @param {string} name @returns {HTMLElement} */
  #cell(name) {
    const known = this.#cells.get(name);
    if (known) return known;
    const cell = element('dd');
    this.#cells.set(name, cell);
    this.table.append(element('dt', {}, name), cell);
    return cell;
  }
}
