/** One snapshot, large: look at it, go back to it, fork from it. A dialog, so the keyboard stays in it until it is closed. */

import { byId, setText } from './dom.js';
import { agoOf, sizeOf, titleOf } from './timeline_model.js';

/** @typedef {import('./api.js').Snapshot} Snapshot */

export class Moment {
  /** @type {Snapshot | null} */
  #shown = null;
  #dialog = byId('moment', HTMLDialogElement);
  #picture = byId('moment-picture', HTMLImageElement);
  #busy = false;
  #url = '';

  /**
   * @param {{ picture: (id: string, width: number) => Promise<Blob>, rollback: (snapshot: Snapshot) => Promise<void>,
   *   fork: (snapshot: Snapshot) => Promise<void> }} host
   */
  constructor(host) {
    this.host = host;
    const run = (/** @type {'rollback' | 'fork'} */ what) => () => void this.#do(what);
    byId('moment-rollback', HTMLElement).addEventListener('click', run('rollback'));
    byId('moment-fork', HTMLElement).addEventListener('click', run('fork'));
    byId('moment-close', HTMLElement).addEventListener('click', () => this.close());
    // a press beside the dialog falls on the dialog itself: what is inside lies over it
    this.#dialog.addEventListener('click', (event) => event.target === this.#dialog && this.close());
    this.#dialog.addEventListener('close', () => this.#forget());
  }

  /** @param {Snapshot} snapshot @param {boolean} here where the desktop stands now */
  open(snapshot, here) {
    this.#shown = snapshot;
    setText(byId('moment-title', HTMLElement), titleOf(snapshot));
    const facts = [agoOf(snapshot.created_at, Date.now()), `${snapshot.resolution.width} × ${snapshot.resolution.height}`, sizeOf(snapshot.size_bytes), ...snapshot.tags];
    setText(byId('moment-facts', HTMLElement), facts.join(' · '));
    const description = byId('moment-description', HTMLElement);
    setText(description, snapshot.description);
    description.hidden = snapshot.description === '';
    byId('moment-here', HTMLElement).hidden = !here;
    this.#picture.alt = `What ${titleOf(snapshot)} showed`;
    this.#picture.style.aspectRatio = `${snapshot.resolution.width} / ${snapshot.resolution.height}`;
    if (!this.#dialog.open) this.#dialog.showModal();
    void this.#look(snapshot);
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  /** @param {Snapshot} snapshot */
  async #look(snapshot) {
    try {
      const blob = await this.host.picture(snapshot.id, 1280);
      if (this.#shown !== snapshot) return;
      this.#forgetPicture();
      this.#url = URL.createObjectURL(blob);
      this.#picture.src = this.#url;
    } catch {
      if (this.#shown === snapshot) this.#picture.alt = 'There is no picture of this snapshot.';
    }
  }

  /** @param {'rollback' | 'fork'} what */
  async #do(what) {
    const snapshot = this.#shown;
    if (snapshot === null || this.#busy) return;
    this.#setBusy(true);
    try {
      await this.host[what](snapshot);
    } finally {
      this.#setBusy(false);
    }
    this.close();
  }

  /** @param {boolean} busy */
  #setBusy(busy) {
    this.#busy = busy;
    this.#dialog.toggleAttribute('aria-busy', busy);
    for (const name of ['moment-rollback', 'moment-fork']) byId(name, HTMLButtonElement).disabled = busy;
  }

  #forget() {
    this.#shown = null;
    this.#forgetPicture();
  }

  #forgetPicture() {
    this.#picture.removeAttribute('src');
    if (this.#url !== '') URL.revokeObjectURL(this.#url);
    this.#url = '';
  }
}
