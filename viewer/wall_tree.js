/** The wall as a tree: each desktop's tile above those that were forked from it. Moves tiles only when the tree has changed. */

import { element } from './dom.js';
import { signatureOf } from './fork_tree.js';

/** @typedef {import('./fork_tree.js').Node} Node */

export class WallTree {
  #signature = '';

  /** @param {HTMLElement} grid @param {(id: string) => HTMLElement} box a desktop's tile */
  constructor(grid, box) {
    this.grid = grid;
    this.box = box;
  }

  /** @param {Node[]} forest */
  show(forest) {
    const signature = signatureOf(forest);
    if (signature === this.#signature) return;
    this.#signature = signature;
    const focused = document.activeElement;
    this.grid.replaceChildren(...forest.map((node) => this.#branch(node, 'div')));
    if (focused instanceof HTMLElement && this.grid.contains(focused)) focused.focus();
  }

  /** The tiles are somebody else's again. */
  leave() {
    this.#signature = '';
    this.grid.replaceChildren();
  }

  /** @param {Node} node @param {'div' | 'li'} tag @returns {HTMLElement} */
  #branch({ id, children }, tag) {
    const below = children.map((child) => this.#branch(child, 'li'));
    const parts = below.length === 0 ? [] : [element('ul', { 'aria-label': 'Forks' }, ...below)];
    return element(tag, { class: below.length === 0 ? 'leaf' : 'branch' }, this.box(id), ...parts);
  }
}
