/** The panel with the desktop's snapshots: asks for them while it is open, and for pictures only of those on screen. */

import { Problem } from './api.js';
import { openApart } from './apart.js';
import { byId, element, setText } from './dom.js';
import { Moment } from './moment.js';
import { agoOf, rowsOf, titleOf } from './timeline_model.js';

/** @typedef {import('./api.js').Snapshot} Snapshot */
/** @typedef {import('./timeline_model.js').Row} Row */

const EVERY_MS = 3000;
const THUMBNAIL_PX = 224;

export class Timeline {
  /** @type {Map<string, Mark>} */
  #marks = new Map();
  /** @type {string[]} */
  #order = [];
  #panel = byId('timeline', HTMLElement);
  #list = byId('moments', HTMLElement);
  #save = byId('save', HTMLButtonElement);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** Asked once more when an answer is under way already. */
  #asking = false;
  #again = false;
  #watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) this.#see(target);
  }, { root: this.#list, rootMargin: '200px' });

  /** @param {import('./api.js').Api} api @param {string} sandbox @param {import('./notes.js').Notes} notes */
  constructor(api, sandbox, notes) {
    this.api = api;
    this.sandbox = sandbox;
    this.notes = notes;
    this.moment = new Moment({
      picture: (id, width) => api.thumbnail(sandbox, id, width),
      rollback: (snapshot) => this.#try('rolled back', async () => {
        await api.rollback(sandbox, snapshot.id);
        notes.show('timeline', { text: `Back at ${titleOf(snapshot)}.` });
      }),
      fork: (snapshot) => this.#try('forked', async () => {
        const { url } = await api.fork(sandbox, snapshot.id);
        openApart(url, 'The fork', notes);
      }),
    });
    this.#save.addEventListener('click', () => void this.#saveNow());
    this.#list.addEventListener('keydown', (event) => this.#move(event));
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /** @param {boolean} open */
  setOpen(open) {
    this.#panel.hidden = !open;
    clearInterval(this.#timer);
    if (!open) return;
    this.#timer = setInterval(() => document.hidden || void this.#refresh(), EVERY_MS);
    void this.#refresh(true);
  }

  async #saveNow() {
    this.#save.disabled = true;
    await this.#try('saved', () => this.api.checkpoint(this.sandbox));
    this.#save.disabled = false;
  }

  /** Does it, says what went wrong, and shows what is so afterwards. @param {string} what @param {() => Promise<unknown>} work */
  async #try(what, work) {
    try {
      await work();
    } catch (error) {
      const problem = error instanceof Problem ? error : null;
      this.notes.show('timeline', { text: `The desktop was not ${what}. ${problem?.detail || problem?.title || String(error)}`, hint: problem?.hint ?? '', tone: 'bad' });
    }
    await this.#refresh();
  }

  /** @param {boolean} [reveal] scroll to where the desktop stands */
  async #refresh(reveal = false) {
    if (!this.isOpen) return;
    if (this.#asking) return void (this.#again = true);
    this.#asking = true;
    try {
      const { at, snapshots } = await this.api.timeline(this.sandbox);
      this.#show(rowsOf(snapshots, at));
      if (reveal) this.#list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
    } catch (error) {
      setText(byId('moments-none', HTMLElement), error instanceof Problem ? error.title : String(error));
      byId('moments-none', HTMLElement).hidden = this.#marks.size > 0;
    } finally {
      this.#asking = false;
    }
    if (this.#again) {
      this.#again = false;
      await this.#refresh();
    }
  }

  /** @param {Row[]} rows */
  #show(rows) {
    const order = rows.map(({ snapshot }) => snapshot.id);
    for (const [id, mark] of this.#marks) {
      if (!order.includes(id)) {
        mark.remove();
        this.#marks.delete(id);
      }
    }
    for (const row of rows) {
      if (!this.#marks.has(row.snapshot.id)) {
        const mark = new Mark((one, here) => this.moment.open(one, here));
        this.#marks.set(row.snapshot.id, mark);
        this.#watcher.observe(mark.box);
        mark.box.dataset.id = row.snapshot.id;
      }
      this.#marks.get(row.snapshot.id)?.update(row, Date.now());
    }
    if (order.join() !== this.#order.join()) {
      const focused = document.activeElement;
      this.#list.replaceChildren(...order.map((id) => /** @type {Mark} */ (this.#marks.get(id)).box));
      if (focused instanceof HTMLElement && this.#list.contains(focused)) focused.focus();
      this.#order = order;
    }
    setText(byId('moments-none', HTMLElement), 'Nothing is saved yet.');
    byId('moments-none', HTMLElement).hidden = rows.length > 0;
  }

  /** @param {Element} box */
  #see(box) {
    const id = box instanceof HTMLElement ? (box.dataset.id ?? '') : '';
    const mark = this.#marks.get(id);
    if (mark === undefined || mark.asked) return;
    mark.asked = true;
    this.api.thumbnail(this.sandbox, id, THUMBNAIL_PX).then((blob) => mark.show(blob), () => mark.box.classList.add('blank'));
  }

  /** Up and down go from one to the next. @param {KeyboardEvent} event */
  #move(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step === undefined) return;
    const buttons = [...this.#list.querySelectorAll('button')];
    const next = buttons[buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement)) + step];
    if (next === undefined) return;
    event.preventDefault();
    next.focus();
  }
}

/** One snapshot in the list. Changes only what differs. */
class Mark {
  #image = element('img', { alt: '', decoding: 'async', hidden: true });
  #title = element('span', { class: 'moment-name' });
  #facts = element('span', { class: 'faint' });
  #here = element('span', { class: 'here' }, 'here');
  #button = element('button', { type: 'button', class: 'moment' });
  /** @type {Row | null} */
  #row = null;
  #url = '';
  asked = false;

  /** @param {(snapshot: Snapshot, here: boolean) => void} open */
  constructor(open) {
    this.#button.append(element('span', { class: 'moment-picture' }, this.#image), element('span', { class: 'moment-words' }, this.#title, this.#facts), this.#here);
    this.#button.addEventListener('click', () => this.#row && open(this.#row.snapshot, this.#row.here));
    this.box = element('li', {}, this.#button);
  }

  /** @param {Row} row @param {number} now */
  update(row, now) {
    this.#row = row;
    setText(this.#title, titleOf(row.snapshot));
    setText(this.#facts, agoOf(row.snapshot.created_at, now));
    this.#here.hidden = !row.here;
    this.#button.toggleAttribute('aria-current', row.here);
    if (row.here) this.#button.setAttribute('aria-current', 'true');
    this.box.style.setProperty('--depth', String(row.depth));
    this.box.classList.toggle('first', row.first);
  }

  /** @param {Blob} picture */
  show(picture) {
    this.#url = URL.createObjectURL(picture);
    this.#image.src = this.#url;
    this.#image.hidden = false;
  }

  remove() {
    if (this.#url !== '') URL.revokeObjectURL(this.#url);
    this.box.remove();
  }
}
