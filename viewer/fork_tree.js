/** Which desktop was forked from which: a forest out of sandboxes and snapshots. Pure. */

/** @typedef {import('./api.js').Sandbox} Sandbox */
/** @typedef {import('./api.js').Snapshot} Snapshot */
/** @typedef {{ id: string, from: Snapshot | null, children: Node[] }} Node `from`: the snapshot that it began from, of its parent or an ancestor */

/**
 * Sandboxes below the nearest of their ancestors that is among them, in the order given.
 * @param {Pick<Sandbox, 'id' | 'snapshot'>[]} sandboxes @param {Snapshot[]} snapshots @returns {Node[]}
 */
export function forestOf(sandboxes, snapshots) {
  const saved = new Map(snapshots.map((one) => [one.id, one]));
  /** @type {Map<string, Node>} */
  const nodes = new Map(sandboxes.map(({ id }) => [id, { id, from: null, children: [] }]));
  /** @type {Map<string, string>} */
  const parents = new Map();
  for (const { id, snapshot } of sandboxes) {
    const found = ancestorOf(id, snapshot ?? null, saved, nodes);
    const node = /** @type {Node} */ (nodes.get(id));
    node.from = found.from;
    // who was rolled back to a child's snapshot would be its own ancestor
    if (found.parent !== null && !leadsTo(found.parent, id, parents)) parents.set(id, found.parent);
  }
  /** @type {Node[]} */
  const roots = [];
  for (const node of nodes.values()) {
    const parent = parents.get(node.id);
    if (parent === undefined) roots.push(node);
    else nodes.get(parent)?.children.push(node);
  }
  return roots;
}

/**
 * @param {string} id @param {string | null} at @param {Map<string, Snapshot>} saved @param {Map<string, Node>} nodes
 * @returns {{ parent: string | null, from: Snapshot | null }}
 */
function ancestorOf(id, at, saved, nodes) {
  /** @type {Snapshot | null} */
  let from = null;
  const seen = new Set();
  for (let one = at; one !== null && saved.has(one) && !seen.has(one); one = saved.get(one)?.parent ?? null) {
    seen.add(one);
    const snapshot = /** @type {Snapshot} */ (saved.get(one));
    if (snapshot.sandbox === id) continue;
    from ??= snapshot;
    if (nodes.has(snapshot.sandbox)) return { parent: snapshot.sandbox, from };
  }
  return { parent: null, from };
}

/** @param {string} from @param {string} to @param {Map<string, string>} parents */
function leadsTo(from, to, parents) {
  for (let id = /** @type {string | undefined} */ (from); id !== undefined; id = parents.get(id)) if (id === to) return true;
  return false;
}

/** The forest in one line, to see cheaply whether it has changed. @param {Node[]} forest @returns {string} */
export const signatureOf = (forest) => forest.map(({ id, children }) => `${id}(${signatureOf(children)})`).join();
