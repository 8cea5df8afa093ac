/** One sandbox on the wall. Changes only what differs. */

import { element, setText } from './dom.js';
import { titleOf } from './timeline_model.js';
import { ageOf, nameOf } from './wall_model.js';

/** @typedef {import('./api.js').Sandbox} Sandbox */

export class Tile {
  #image = element('img', { alt: '', decoding: 'async', hidden: true });
  #name = element('span', { class: 'tile-name' });
  #facts = element('span', { class: 'faint' });
  #state = element('span', { class: 'tile-state' });
  #origin = element('span', { class: 'tile-origin' });
  #url = '';
  /** The picture's ETag. @type {string | null} */
  tag = null;

  /** @param {Sandbox} sandbox @param {() => void} open @param {number} now */
  constructor(sandbox, open, now) {
    const picture = element('span', { class: 'thumbnail' }, this.#image);
    const words = element('span', { class: 'tile-words' }, this.#name, this.#facts, this.#origin);
    this.box = element('button', { class: 'tile', type: 'button', 'data-id': sandbox.id, onclick: open }, picture, words, this.#state);
    this.update(sandbox, now);
  }

  /** @param {Sandbox} sandbox @param {number} now */
  update(sandbox, now) {
    setText(this.#name, nameOf(sandbox));
    setText(this.#facts, `${sandbox.template} · ${ageOf(sandbox.created_at, now)}`);
    setText(this.#state, sandbox.state);
    if (this.box.dataset.state !== sandbox.state) this.box.dataset.state = sandbox.state;
  }

  /** What it was forked from, if that is known. @param {import('./api.js').Snapshot | null} from */
  setOrigin(from) {
    setText(this.#origin, from?.name ? `from ${titleOf(from)}` : '');
  }

  /** @param {Blob} picture */
  show(picture) {
    const old = this.#url;
    this.#url = URL.createObjectURL(picture);
    this.#image.src = this.#url;
    this.#image.hidden = false;
    const dropOld = () => old !== '' && URL.revokeObjectURL(old);
    this.#image.decode().then(dropOld, dropOld);
  }

  remove() {
    if (this.#url !== '') URL.revokeObjectURL(this.#url);
    this.box.remove();
  }
}
