/** The wall: all desktops as live thumbnails, with filters; a press opens one. Asks only for what is on screen. */

import { Api, Problem } from './api.js';
import { openApart } from './apart.js';
import { byId, element, setText } from './dom.js';
import { forestOf } from './fork_tree.js';
import { Notes } from './notes.js';
import { beginAnewWithLinks, forgetCredential, keepCredential, takeCredential } from './token.js';
import { filtered, keyedChanges, nameOf, pictureOf, shown, Thumbnails } from './wall_model.js';
import { Tile } from './wall_tile.js';
import { WallTree } from './wall_tree.js';

/** @typedef {import('./api.js').Sandbox} Sandbox */
/** @typedef {import('./api.js').Snapshot} Snapshot */

const LIST_EVERY_MS = 3000;
const LOOK_EVERY_MS = 250;
const TOKEN_TTL_S = 3600;

class Wall {
  /** @type {Sandbox[]} */
  #all = [];
  /** Asked for only while the tree is shown. @type {Snapshot[]} */
  #snapshots = [];
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  /** @type {string[]} */
  #order = [];
  #thumbnails = new Thumbnails();
  #listing = false;
  #gone = false;
  #grid = byId('grid', HTMLElement);
  #asTree = byId('as-tree', HTMLElement);
  #tree = new WallTree(this.#grid, (id) => this.#box(id));
  #filters = { text: byId('filter-text', HTMLInputElement), template: byId('filter-template', HTMLSelectElement), state: byId('filter-state', HTMLSelectElement) };
  #watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (target instanceof HTMLElement) this.#thumbnails.setVisible(target.dataset.id ?? '', isIntersecting);
    }
  }, { rootMargin: '100px' });

  /** @param {Api} api @param {Notes} notes @param {(why: string) => void} refused */
  constructor(api, notes, refused) {
    this.api = api;
    this.notes = notes;
    this.refused = refused;
  }

  start() {
    const { text, template, state } = this.#filters;
    text.addEventListener('input', () => this.#show());
    this.#asTree.addEventListener('click', () => this.#turn());
    for (const select of [template, state]) select.addEventListener('change', () => this.#show());
    const timers = [setInterval(() => void this.#list(), LIST_EVERY_MS), setInterval(() => this.#look(), LOOK_EVERY_MS)];
    this.stop = () => {
      this.#gone = true;
      timers.forEach(clearInterval);
    };
    void this.#list();
  }

  stop = () => {};

  async #list() {
    if (this.#listing || document.hidden) return;
    this.#listing = true;
    try {
      this.#all = (await this.api.sandboxes()).map(shown);
      if (this.#isTree) this.#snapshots = await this.api.snapshots();
      if (this.#gone) return;
      this.notes.hide('list');
      offer(this.#filters.template, 'Any template', this.#all.map(({ template }) => template));
      offer(this.#filters.state, 'Any state', this.#all.map(({ state }) => state));
      this.#show();
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#listing = false;
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    if (this.#gone) return;
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) return this.refused('This key is not accepted.');
    const problem = error instanceof Problem ? error : null;
    this.notes.show('list', { text: problem?.title ?? String(error), hint: 'What is shown is the last that was known. Trying again.', tone: 'bad', lastsMs: 0 });
  }

  get #isTree() {
    return this.#asTree.getAttribute('aria-pressed') === 'true';
  }

  /** From the grid to the tree, or back. */
  #turn() {
    const tree = !this.#isTree;
    this.#asTree.setAttribute('aria-pressed', String(tree));
    this.#grid.classList.toggle('tree', tree);
    this.#tree.leave();
    this.#order = [];
    this.#show();
    void this.#list();
  }

  #show() {
    const { text, template, state } = this.#filters;
    const shown = filtered(this.#all, { text: text.value, template: template.value, state: state.value });
    const now = Date.now();
    const order = shown.map(({ id }) => id);
    for (const sandbox of shown) this.#tile(sandbox, now);
    for (const id of [...this.#tiles.keys()]) if (!order.includes(id)) this.#remove(id);
    if (this.#isTree) this.#placeTree(shown);
    else this.#placeGrid(order);
    for (const sandbox of shown) this.#tile(sandbox, now).update(sandbox, now);
    this.#thumbnails.update(shown, performance.now());
    const all = this.#all.length;
    setText(byId('count', HTMLElement), shown.length === all ? `${all} ${all === 1 ? 'desktop' : 'desktops'}` : `${shown.length} of ${all} desktops`);
    const none = byId('none', HTMLElement);
    none.hidden = shown.length > 0;
    setText(none, all === 0 ? 'No desktop is running.' : 'No desktop fits these filters.');
  }

  /** @param {string[]} order */
  #placeGrid(order) {
    const { placed } = keyedChanges(this.#order, order);
    for (const { key, next } of placed) this.#grid.insertBefore(this.#box(key), next === null ? null : this.#box(next));
    this.#order = order;
  }

  /** Parents first, so the oldest first. @param {Sandbox[]} shown */
  #placeTree(shown) {
    const forest = forestOf(shown.toReversed(), this.#snapshots);
    const waiting = [...forest];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      this.#tiles.get(node.id)?.setOrigin(node.from);
      waiting.push(...node.children);
    }
    this.#tree.show(forest);
  }

  /** @param {Sandbox} sandbox @param {number} now @returns {Tile} */
  #tile(sandbox, now) {
    const known = this.#tiles.get(sandbox.id);
    if (known !== undefined) return known;
    const tile = new Tile(sandbox, () => void this.#open(sandbox), now);
    this.#tiles.set(sandbox.id, tile);
    this.#watcher.observe(tile.box);
    return tile;
  }

  /** @param {string} id @returns {HTMLElement} */
  #box(id) {
    const tile = this.#tiles.get(id);
    if (tile === undefined) throw new Error(`no tile of ${id}`);
    return tile.box;
  }

  /** @param {string} id */
  #remove(id) {
    const tile = this.#tiles.get(id);
    if (tile === undefined) return;
    this.#watcher.unobserve(tile.box);
    this.#thumbnails.setVisible(id, false);
    tile.remove();
    this.#tiles.delete(id);
    this.#order = this.#order.filter((one) => one !== id);
  }

  #look() {
    if (document.hidden) return;
    for (const id of this.#thumbnails.next(performance.now())) void this.#thumbnail(id);
  }

  /** @param {string} id */
  async #thumbnail(id) {
    const tile = this.#tiles.get(id);
    const sandbox = this.#all.find((one) => one.id === id);
    let good = false;
    try {
      const path = sandbox === undefined ? null : pictureOf(sandbox);
      const headers = /** @type {Record<string, string>} */ (tile?.tag ? { 'If-None-Match': tile.tag } : {});
      const response = path === null ? null : await this.api.call(path, { headers });
      good = true;
      if (response === null || response.status === 304 || tile === undefined) return;
      const picture = await response.blob();
      if (this.#tiles.get(id) !== tile) return;
      tile.tag = response.headers.get('ETag');
      tile.show(picture);
    } catch {
      // it is asked for again, ever less often; the list says if the sandbox is gone
    } finally {
      this.#thumbnails.done(id, good, performance.now());
      this.#look();
    }
  }

  /** @param {Sandbox} sandbox */
  async #open(sandbox) {
    try {
      const { url } = await this.api.token(sandbox.id, { rights: 'control', ttl: TOKEN_TTL_S });
      openApart(url, nameOf(sandbox), this.notes);
    } catch (error) {
      const problem = error instanceof Problem ? error : null;
      this.notes.show('open', { text: `${nameOf(sandbox)} could not be opened. ${problem?.message ?? ''}`, hint: problem?.hint ?? '', tone: 'bad' });
    }
  }
}

/** Choices of a filter: what there is. @param {HTMLSelectElement} select @param {string} any @param {string[]} values */
function offer(select, any, values) {
  const names = [...new Set(values)].sort();
  const known = [...select.options].slice(1).map(({ value }) => value);
  if (names.join('\n') === known.join('\n')) return;
  const chosen = select.value;
  select.replaceChildren(element('option', { value: '' }, any), ...names.map((name) => element('option', { value: name }, name)));
  select.value = names.includes(chosen) ? chosen : '';
}

/** Asks for the API key, or begins with the one that is known. @param {Notes} notes */
function begin(notes) {
  const gate = byId('gate', HTMLElement);
  const field = byId('key', HTMLInputElement);
  /** @param {string} key */
  const open = (key) => {
    gate.hidden = true;
    keepCredential('wall', key);
    const wall = new Wall(new Api(key), notes, (why) => {
      wall.stop();
      forgetCredential('wall');
      ask(why);
    });
    wall.start();
  };
  /** @param {string} why */
  const ask = (why) => {
    gate.hidden = false;
    setText(byId('gate-why', HTMLElement), why);
    field.focus();
  };
  byId('gate-form', HTMLElement).addEventListener('submit', (event) => {
    event.preventDefault();
    const key = field.value.trim();
    field.value = '';
    if (key !== '') open(key);
  });
  const key = takeCredential('key', 'wall');
  beginAnewWithLinks('key');
  if (key) open(key);
  else ask('');
}

begin(new Notes(byId('notes', HTMLElement)));
