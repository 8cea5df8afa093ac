/**
 * Files of this computer into the desktop's Downloads: by drop or by button, two at a time, with progress, each can be cancelled;
 * what the server says of an error is shown.
 */

import { problemFrom } from './api.js';
import { element, icon, setText } from './dom.js';

const FOLDER = '/home/user/Downloads';
const AT_ONCE = 2;
const DONE_STAYS_MS = 5000;

/**
 * A name that is one file in one folder.
 * @param {string} name @returns {string}
 */
export function safeName(name) {
  const last = name.split(/[/\\]/).pop() ?? '';
  // control characters and what some programs take for a path or an option
  const clean = last.replace(/[\u0000-\u001f\u007f]/g, '').replace(/^\.+$/, '').trim();
  return [...clean].slice(0, 200).join('') || 'file';
}

/** @param {number} bytes @returns {string} */
export function readableSize(bytes) {
  const units = ['B', 'KB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export class Uploads {
  /** @type {(() => Promise<void>)[]} */
  #waiting = [];
  #running = 0;

  /** @param {HTMLElement} list @param {import('./api.js').Api} api @param {string} sandbox */
  constructor(list, api, sandbox) {
    this.list = list;
    this.api = api;
    this.sandbox = sandbox;
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) this.#enqueue(file);
    this.#next();
  }

  /** @param {File} file */
  #enqueue(file) {
    const name = safeName(file.name);
    const request = new XMLHttpRequest();
    let cancelled = false;
    const text = element('span', { class: 'hint' }, 'Waiting');
    const bar = element('progress', { max: '1', value: '0', 'aria-label': `Upload of ${name}` });
    const cancel = () => {
      cancelled = true;
      request.abort();
      row.remove();
    };
    const closer = element('button', { class: 'button quiet icon-only', type: 'button', 'aria-label': `Cancel ${name}`, title: 'Cancel', onclick: cancel }, icon('close'));
    const row = element('li', { class: 'upload' }, element('div', { class: 'words' }, element('p', { class: 'file-name' }, name), text, bar), closer);
    this.list.append(row);
    const fail = (/** @type {string} */ why) => {
      row.classList.add('bad');
      bar.remove();
      setText(text, why);
    };
    this.#waiting.push(async () => {
      if (cancelled) return;
      const error = await this.#send(request, file, name, (fraction) => {
        bar.value = fraction;
        setText(text, `${Math.round(fraction * 100)} % of ${readableSize(file.size)}`);
      });
      if (cancelled) return;
      if (error !== null) return fail(error);
      bar.remove();
      row.classList.add('done');
      setText(text, `${readableSize(file.size)} in Downloads`);
      setTimeout(() => row.remove(), DONE_STAYS_MS);
    });
  }

  #next() {
    while (this.#running < AT_ONCE) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#running += 1;
      void job().finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  /**
   * @param {XMLHttpRequest} request @param {File} file @param {string} name @param {(fraction: number) => void} progress
   * @returns {Promise<string | null>} what went wrong
   */
  #send(request, file, name, progress) {
    const path = `v1/sandboxes/${encodeURIComponent(this.sandbox)}/files?path=${encodeURIComponent(`${FOLDER}/${name}`)}`;
    return new Promise((resolve) => {
      request.open('PUT', this.api.url(path));
      request.setRequestHeader('Authorization', `Bearer ${this.api.credential}`);
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / Math.max(1, event.total));
      request.onload = () => resolve(request.status < 400 ? null : explained(request));
      request.onerror = () => resolve('The connection broke. Drop the file again.');
      request.onabort = () => resolve('Cancelled');
      request.send(file);
    });
  }
}

/** @param {XMLHttpRequest} request @returns {string} */
function explained(request) {
  const problem = problemFrom(request.status, request.responseText);
  const sentences = [problem.title, problem.detail, problem.hint].filter(Boolean);
  return sentences.map((one) => `${one[0].toUpperCase()}${one.slice(1).replace(/\.$/, '')}.`).join(' ');
}

/**
 * Files that are dropped anywhere on the page.
 * @param {HTMLElement} page gets the class `dropping` meanwhile @param {() => boolean} allowed @param {(files: File[]) => void} dropped
 */
export function listenDrops(page, allowed, dropped) {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = allowed() ? 'copy' : 'none';
    page.classList.toggle('dropping', allowed());
  });
  addEventListener('dragleave', (event) => event.relatedTarget === null && page.classList.remove('dropping'));
  addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    page.classList.remove('dropping');
    if (allowed()) dropped([...(event.dataTransfer?.files ?? [])]);
  });
}
