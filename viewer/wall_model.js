/** What the wall shows, and whose thumbnail is asked for next. Pure; time is passed in. */

/** @typedef {import('./api.js').Sandbox} Sandbox */
/** @typedef {{ text: string, template: string, state: string }} Filter empty: any */

const AT_ONCE = 4;
/** How often a thumbnail is looked at, ms, by the sandbox's state; Infinity: once. @type {Record<string, number>} */
const EVERY_MS = { running: 2000, frozen: 30_000, paused: Infinity, killing: Infinity, dead: Infinity };
const MOST_BACKOFF_MS = 60_000;

/** What the wall shows: one that stands still in memory is running to the API. @param {Sandbox} sandbox @returns {Sandbox} */
export const shown = (sandbox) => (sandbox.frozen ? { ...sandbox, state: 'frozen' } : sandbox);

/**
 * Where a sandbox's picture is. Looking at one that is paused, also since the list was read, must not bring it back: what it showed
 * then is in its snapshot. @param {Sandbox} sandbox @returns {string | null} a path below the server's root; null: there is none to ask for
 */
export function pictureOf({ id, state, snapshot }) {
  if (state === 'running' || state === 'frozen') return `v1/sandboxes/${encodeURIComponent(id)}/screenshot?format=jpeg&scale=0.25&quality=60&resume=false`;
  return state === 'paused' && snapshot ? `v1/snapshots/${encodeURIComponent(snapshot)}/thumbnail?width=320` : null;
}

/** @param {Sandbox} sandbox @returns {string} */
export const nameOf = (sandbox) => sandbox.metadata?.name || sandbox.id;

/** @param {Sandbox[]} sandboxes @param {Filter} filter @returns {Sandbox[]} */
export function filtered(sandboxes, filter) {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return sandboxes.filter((one) => {
    if (filter.template !== '' && one.template !== filter.template) return false;
    if (filter.state !== '' && one.state !== filter.state) return false;
    if (words.length === 0) return true;
    const hay = [one.id, one.template, one.state, ...Object.entries(one.metadata ?? {}).flat()].join(' ').toLowerCase();
    return words.every((word) => hay.includes(word));
  });
}

/** @param {string} createdAt RFC 3339 @param {number} now ms since 1970 @returns {string} */
export function ageOf(createdAt, now) {
  const seconds = Math.max(0, Math.floor((now - Date.parse(createdAt)) / 1000));
  if (!Number.isFinite(seconds)) return '';
  if (seconds < 60) return 'just now';
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/**
 * What to do to a list of keyed elements so that it becomes another.
 * @param {string[]} before @param {string[]} after
 * @returns {{ removed: string[], placed: { key: string, next: string | null }[] }} `placed`, last first: put before `next`
 */
export function keyedChanges(before, after) {
  const wanted = new Set(after);
  const removed = before.filter((key) => !wanted.has(key));
  const left = before.filter((key) => wanted.has(key));
  /** @type {{ key: string, next: string | null }[]} */
  const placed = [];
  let at = left.length - 1;
  const moved = new Set();
  for (let index = after.length - 1; index >= 0; index -= 1) {
    while (at >= 0 && moved.has(left[at])) at -= 1;
    if (at >= 0 && left[at] === after[index]) {
      at -= 1;
      continue;
    }
    moved.add(after[index]);
    placed.push({ key: after[index], next: after[index + 1] ?? null });
  }
  return { removed, placed };
}

/** Whose picture is asked for next: only of those on screen, a few at a time, the one that waits longest first. */
export class Thumbnails {
  /** @type {Map<string, { state: string, nextAt: number, failures: number }>} */
  #known = new Map();
  /** @type {Set<string>} */
  #visible = new Set();
  /** @type {Set<string>} */
  #flying = new Set();

  /** @param {{ id: string, state: string }[]} sandboxes @param {number} now */
  update(sandboxes, now) {
    const ids = new Set(sandboxes.map(({ id }) => id));
    for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
    for (const { id, state } of sandboxes) {
      const known = this.#known.get(id);
      if (known === undefined) this.#known.set(id, { state, nextAt: now, failures: 0 });
      else if (known.state !== state) Object.assign(known, { state, nextAt: now, failures: 0 });
    }
  }

  /** @param {string} id @param {boolean} visible */
  setVisible(id, visible) {
    if (visible) this.#visible.add(id);
    else this.#visible.delete(id);
  }

  /** Ids to ask for now; each must be followed by `done`. @param {number} now @returns {string[]} */
  next(now) {
    const due = [...this.#known].filter(([id, { state, nextAt }]) => this.#visible.has(id) && !this.#flying.has(id) && nextAt <= now && state !== 'creating' && state !== 'dead');
    due.sort(([, one], [, other]) => one.nextAt - other.nextAt);
    const ids = due.slice(0, Math.max(0, AT_ONCE - this.#flying.size)).map(([id]) => id);
    for (const id of ids) this.#flying.add(id);
    return ids;
  }

  /** @param {string} id @param {boolean} good @param {number} now */
  done(id, good, now) {
    this.#flying.delete(id);
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.failures = good ? 0 : known.failures + 1;
    const every = EVERY_MS[known.state] ?? EVERY_MS.running;
    known.nextAt = good ? now + every : now + Math.min(MOST_BACKOFF_MS, 1000 * 2 ** known.failures);
  }
}
