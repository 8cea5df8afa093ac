/** The timeline of a desktop: its snapshots as rows of a tree, in words. Pure; time is passed in. */

/** @typedef {import('./api.js').Snapshot} Snapshot */
/**
 * `depth`: 0 on the line that leads to where the desktop stands, more on branches; `first`: a branch begins here.
 * @typedef {{ snapshot: Snapshot, depth: number, first: boolean, here: boolean }} Row
 */

/** @type {Record<string, string>} */
const KINDS = { checkpoint: 'Checkpoint', fork: 'Before a fork', pause: 'Pause', import: 'Imported' };
const MOST_DEPTH = 6;

/** @param {Snapshot} snapshot @returns {string} */
export const titleOf = (snapshot) => snapshot.name || KINDS[snapshot.kind] || 'Snapshot';

/**
 * Rows, parents before children. The line to `at` goes straight down, else the newest child continues its parent's line; other
 * children are branches, set in.
 * @param {Snapshot[]} snapshots oldest first @param {string | null} at @returns {Row[]}
 */
export function rowsOf(snapshots, at) {
  const known = new Map(snapshots.map((one) => [one.id, one]));
  /** @type {Map<string | null, Snapshot[]>} */
  const children = new Map();
  for (const one of snapshots) {
    const parent = one.parent !== null && known.has(one.parent) && one.parent !== one.id ? one.parent : null;
    children.set(parent, [...(children.get(parent) ?? []), one]);
  }
  const line = lineTo(at, known);
  /** @type {Row[]} */
  const rows = [];
  const seen = new Set();
  /** @type {{ snapshot: Snapshot, depth: number, first: boolean }[]} */
  const waiting = (children.get(null) ?? []).toReversed().map((snapshot) => ({ snapshot, depth: 0, first: true }));
  while (waiting.length > 0) {
    const { snapshot, depth, first } = /** @type {typeof waiting[0]} */ (waiting.pop());
    if (seen.has(snapshot.id)) continue;
    seen.add(snapshot.id);
    rows.push({ snapshot, depth, first, here: snapshot.id === at });
    const below = children.get(snapshot.id) ?? [];
    const straight = below.find(({ id }) => line.has(id)) ?? below.at(-1);
    const branches = below.filter((one) => one !== straight);
    if (straight !== undefined) waiting.push({ snapshot: straight, depth, first: false });
    for (const one of branches.toReversed()) waiting.push({ snapshot: one, depth: Math.min(depth + 1, MOST_DEPTH), first: true });
  }
  return rows;
}

/** @param {string | null} at @param {Map<string, Snapshot>} known @returns {Set<string>} */
function lineTo(at, known) {
  const line = new Set();
  for (let id = at; id !== null && known.has(id) && !line.has(id); id = known.get(id)?.parent ?? null) line.add(id);
  return line;
}

/** @param {string} takenAt RFC 3339 @param {number} now ms since 1970 @returns {string} */
export function agoOf(takenAt, now) {
  const seconds = Math.max(0, Math.floor((now - Date.parse(takenAt)) / 1000));
  if (!Number.isFinite(seconds)) return '';
  if (seconds < 10) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

/** @param {number} bytes @returns {string} */
export const sizeOf = (bytes) => (bytes < 1e9 ? `${Math.max(1, Math.round(bytes / 1e6))} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
