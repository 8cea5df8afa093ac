/**
 * The life of the terminal panel's connection as a state machine: pure, time is passed in. It decides when to start a terminal,
 * when and from which byte to connect to it, when to try again, and when it is over.
 *
 *     idle ─open─► starting ─started─► connecting ─attached─► attached ─ended─► ended
 *       └─open, known─────────────────►   ▲  │ lost              │ lost
 *                                    tick └──┴──── waiting ◄─────┘           any ─problem for good─► failed
 *
 * A terminal runs on in the desktop whoever comes and goes: the panel that closes only lets go of it (`idle`, `id` is kept).
 */

/** @typedef {'idle' | 'starting' | 'connecting' | 'attached' | 'waiting' | 'ended' | 'failed'} Phase */
/** @typedef {{ status: number, title: string, detail: string, hint: string }} Trouble */
/**
 * `open`: the panel opens, with a terminal that is known from before the page was loaded, or none. `network`: the connection may be
 * dead. `again`: a person wants it to be tried again, or a new one after the end.
 * @typedef {{ type: 'open', known: string | null } | { type: 'close' } | { type: 'started', id: string } | { type: 'attached', offset: number, end: number, running: boolean }
 *   | { type: 'data', bytes: number } | { type: 'ended', exitCode: number | null, signal: number | null } | { type: 'problem', problem: Trouble }
 *   | { type: 'lost' } | { type: 'network' } | { type: 'tick' } | { type: 'again' }} Event
 * `clear`: the screen begins anew. `gap`: output is missing, the server keeps only so much. `replay`: what comes up to that many bytes
 * was shown before; what it asks a terminal has been answered.
 * @typedef {{ do: 'start' } | { do: 'connect', id: string, after: number, again: boolean } | { do: 'disconnect' } | { do: 'clear' } | { do: 'gap' }
 *   | { do: 'replay', bytes: number } | { do: 'remember', id: string | null }} Command
 */

const BACKOFF_MS = [0, 500, 1000, 2000, 4000, 8000, 15_000];
/** No repeat of the same would end otherwise. */
const FOR_GOOD = new Set([400, 401, 403, 404, 409, 410, 422]);

export class TerminalLink {
  /** @type {Phase} */
  phase = 'idle';
  /** The terminal in the desktop. @type {string | null} */
  id = null;
  /** Up to which byte its output is here. */
  offset = 0;
  /** When it is tried again, ms; only while waiting. @type {number | null} */
  retryAt = null;
  /** How it ended. @type {{ exitCode: number | null, signal: number | null } | null} */
  end = null;
  /** What was last wrong. @type {Trouble | null} */
  problem = null;
  #wanted = false;
  #attempts = 0;
  /** Known from an earlier life of the page: it may be gone, and its output is nothing new. */
  #recalled = false;

  /** @param {Event} event @param {number} now ms @returns {Command[]} */
  on(event, now) {
    switch (event.type) {
      case 'open':
        return this.#open(event.known);
      case 'close':
        return this.#close();
      case 'started':
        return this.phase === 'starting' ? this.#started(event.id) : [];
      case 'attached':
        return this.phase === 'connecting' ? this.#attached(event) : [];
      case 'data':
        this.offset += event.bytes;
        return [];
      case 'ended':
        return this.#ended(event.exitCode, event.signal);
      case 'problem':
        return this.#failed(event.problem, now);
      case 'lost':
        return this.phase === 'connecting' || this.phase === 'attached' ? this.#wait(now) : [];
      case 'network':
        return this.#network();
      case 'tick':
        return this.retryAt !== null && now >= this.retryAt ? this.#connect(true) : [];
      case 'again':
        return this.#again();
    }
  }

  /** @param {string | null} known @returns {Command[]} */
  #open(known) {
    this.#wanted = true;
    if (this.phase === 'ended' || this.phase === 'failed') return this.#again();
    if (this.phase !== 'idle') return [];
    if (this.id === null && known !== null) {
      this.id = known;
      this.#recalled = true;
    }
    return this.id === null ? this.#start() : this.#connect(false);
  }

  /** @returns {Command[]} */
  #close() {
    this.#wanted = false;
    this.retryAt = null;
    if (this.phase !== 'connecting' && this.phase !== 'attached' && this.phase !== 'waiting') return [];
    this.phase = 'idle';
    return [{ do: 'disconnect' }];
  }

  /** @returns {Command[]} */
  #start() {
    this.phase = 'starting';
    this.id = null;
    this.offset = 0;
    this.end = null;
    this.problem = null;
    this.#recalled = false;
    return [{ do: 'clear' }, { do: 'start' }];
  }

  /** @param {string} id @returns {Command[]} */
  #started(id) {
    this.id = id;
    this.phase = 'idle';
    return [{ do: 'remember', id }, ...(this.#wanted ? this.#connect(false) : [])];
  }

  /** @param {boolean} again by itself @returns {Command[]} */
  #connect(again) {
    this.phase = 'connecting';
    this.retryAt = null;
    this.problem = null;
    return this.id === null ? this.#start() : [{ do: 'connect', id: this.id, after: this.offset, again }];
  }

  /** @param {{ offset: number, end: number, running: boolean }} event where the output that comes begins, and how much there is @returns {Command[]} */
  #attached({ offset, end, running }) {
    // it ended while nobody looked: nobody waits for its end
    if (this.#recalled && !running) return [{ do: 'disconnect' }, ...this.#start()];
    /** @type {Command[]} */
    const commands = [];
    if (this.#recalled) commands.push({ do: 'replay', bytes: Math.max(0, end - offset) });
    else if (offset > this.offset) commands.push({ do: 'gap' });
    this.phase = 'attached';
    this.offset = offset;
    this.#attempts = 0;
    this.#recalled = false;
    return commands;
  }

  /** @param {number | null} exitCode @param {number | null} signal @returns {Command[]} */
  #ended(exitCode, signal) {
    this.phase = 'ended';
    this.end = { exitCode, signal };
    this.id = null;
    return [{ do: 'disconnect' }, { do: 'remember', id: null }];
  }

  /** @param {Trouble} problem @param {number} now @returns {Command[]} */
  #failed(problem, now) {
    if (this.phase === 'idle' || this.phase === 'ended') return [];
    const gone = problem.status === 404 && this.phase !== 'starting';
    // the page was away for long: nobody waits for that one
    if (gone && this.#recalled) return [{ do: 'disconnect' }, ...this.#start()];
    this.problem = problem;
    if (this.phase !== 'starting' && !FOR_GOOD.has(problem.status)) return this.#wait(now);
    this.phase = 'failed';
    this.retryAt = null;
    if (!gone) return [{ do: 'disconnect' }];
    this.id = null;
    return [{ do: 'disconnect' }, { do: 'remember', id: null }];
  }

  /** @param {number} now @returns {Command[]} */
  #wait(now) {
    this.phase = 'waiting';
    this.retryAt = now + (BACKOFF_MS[Math.min(this.#attempts, BACKOFF_MS.length - 1)] ?? 0);
    this.#attempts += 1;
    return [{ do: 'disconnect' }];
  }

  /** @returns {Command[]} */
  #network() {
    if (this.phase !== 'attached' && this.phase !== 'connecting' && this.phase !== 'waiting') return [];
    this.#attempts = 0;
    return [{ do: 'disconnect' }, ...this.#connect(true)];
  }

  /** @returns {Command[]} */
  #again() {
    this.#attempts = 0;
    if (this.phase === 'waiting') return this.#connect(false);
    if (this.phase === 'failed' && this.id !== null) return this.#connect(false);
    return this.phase === 'ended' || this.phase === 'failed' ? this.#start() : [];
  }
}

/**
 * What the panel says of it, and the word on its button; nothing while all is well.
 * @param {TerminalLink} link @param {number} now ms @returns {{ text: string, hint: string, button: string | null, tone: 'plain' | 'bad' }}
 */
export function terminalStatus(link, now) {
  const plain = (/** @type {string} */ text, hint = '') => /** @type {const} */ ({ text, hint, button: null, tone: 'plain' });
  switch (link.phase) {
    case 'idle':
    case 'attached':
      return plain('');
    case 'starting':
      return plain('Starting a terminal…');
    case 'connecting':
      return plain('Connecting…');
    case 'waiting': {
      const seconds = Math.ceil(Math.max(0, (link.retryAt ?? now) - now) / 1000);
      const text = `The connection broke. Next try ${seconds > 0 ? `in ${seconds} s` : 'now'}.`;
      return { text, hint: 'The terminal runs on; what it shows is kept.', button: 'Try now', tone: 'bad' };
    }
    case 'ended':
      return { text: endText(link.end), hint: '', button: 'New terminal', tone: link.end?.exitCode === 0 ? 'plain' : 'bad' };
    case 'failed': {
      const { status = 0, title = '', detail = '', hint = '' } = link.problem ?? {};
      if (status === 404) return { text: 'This terminal is gone.', hint: 'The desktop may have been rolled back to before it was opened.', button: 'New terminal', tone: 'bad' };
      return { text: [title, detail].filter(Boolean).join(': '), hint, button: status === 401 || status === 403 ? null : 'Try again', tone: 'bad' };
    }
  }
}

/** How a shell ended. @param {TerminalLink['end']} end @returns {string} */
export function endText(end) {
  if (end?.signal) return `The shell was ended by signal ${end.signal} (exit code ${end.exitCode}).`;
  return end?.exitCode === null || end === null ? 'The shell has ended.' : `The shell has ended with exit code ${end.exitCode}.`;
}

/**
 * The panel's height: what a person asked for, within what leaves the desktop to be seen.
 * @param {number} wanted CSS pixels @param {number} room of panel and desktop together @returns {number}
 */
export function panelHeight(wanted, room) {
  const least = Math.min(140, room);
  return Math.round(Math.max(least, Math.min(wanted, room - 72)));
}
