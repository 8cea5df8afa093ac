/**
 * The server's HTTP calls, with a bearer token. Errors are `Problem`s: what the server says (RFC 9457) or, with status 0, that it
 * could not be reached. Knows where the server is from its own address, so it works below any path.
 */

const ROOT = new URL('..', import.meta.url);
const TIMEOUT_MS = 10_000;
/** As long as saving and bringing back may take. */
const SAVE_MS = 120_000;
const LIVING = ['creating', 'running', 'paused'];

/** An error that can be shown to a person. */
export class Problem extends Error {
  /** @param {number} status 0: no answer @param {string} title @param {string} detail @param {string} hint */
  constructor(status, title, detail, hint) {
    super([title, detail].filter(Boolean).join(': '));
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.hint = hint;
  }
}

/** @param {number} status @param {string} body @returns {Problem} */
export function problemFrom(status, body) {
  let document_;
  try {
    document_ = JSON.parse(body);
  } catch {
    document_ = null;
  }
  const text = (/** @type {unknown} */ value) => (typeof value === 'string' ? value : '');
  return new Problem(status, text(document_?.title) || `The server answered with status ${status}`, text(document_?.detail), text(document_?.hint));
}

/**
 * @typedef {{ name: string, template: string, state: string, rights: 'view' | 'control', width: number, height: number,
 *   takes_control?: boolean, ice_servers: RTCIceServer[] }} StreamInfo
 * @typedef {{ id: string, template: string, state: string, created_at: string, metadata: Record<string, string>, reason?: string | null,
 *   frozen?: boolean, snapshot?: string | null }} Sandbox
 * @typedef {{ id: string, name: string | null, sandbox: string, parent: string | null, kind: string, created_at: string, size_bytes: number,
 *   resolution: { width: number, height: number }, description: string, tags: string[] }} Snapshot
 */

export class Api {
  /** @param {string} credential */
  constructor(credential) {
    this.credential = credential;
  }

  /** @param {string} path below the server's root @returns {URL} */
  url(path) {
    return new URL(path, ROOT);
  }

  /** @param {string} path @returns {URL} */
  socketUrl(path) {
    const url = this.url(path);
    url.protocol = url.protocol.replace('http', 'ws');
    return url;
  }

  /**
   * @param {string | URL} path @param {RequestInit} [init] @param {number} [timeoutMs] @returns {Promise<Response>} any status from 200 to 399
   * @throws {Problem}
   */
  async call(path, init = {}, timeoutMs = TIMEOUT_MS) {
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${this.credential}`);
    let response;
    try {
      const timeout = AbortSignal.timeout(timeoutMs);
      const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
      response = await fetch(new URL(path, ROOT), { cache: 'no-store', referrerPolicy: 'no-referrer', credentials: 'omit', ...init, headers, signal });
    } catch (error) {
      throw new Problem(0, 'The server does not answer', error instanceof Error ? error.message : '', 'It may be starting again.');
    }
    if (response.status >= 400) throw problemFrom(response.status, await response.text().catch(() => ''));
    return response;
  }

  /** @param {string} id @returns {Promise<StreamInfo>} */
  async stream(id) {
    return (await this.call(`v1/sandboxes/${encodeURIComponent(id)}/stream`)).json();
  }

  /** @param {string} id @param {string} sdp @returns {Promise<{ sdp: string, location: URL | null }>} */
  async whep(id, sdp) {
    const path = `v1/sandboxes/${encodeURIComponent(id)}/stream/whep`;
    const response = await this.call(path, { method: 'POST', body: sdp, headers: { 'Content-Type': 'application/sdp' } });
    const location_ = response.headers.get('Location');
    const url = location_ === null ? null : new URL(location_, this.url(path));
    // the token goes nowhere but to where the page came from
    return { sdp: await response.text(), location: url !== null && url.origin === ROOT.origin ? url : null };
  }

  /** @param {string} id @param {{ rights: 'view' | 'control', ttl: number }} wish @returns {Promise<{ url: string }>} */
  async token(id, wish) {
    return this.#post(`v1/sandboxes/${encodeURIComponent(id)}/tokens`, wish);
  }

  /** A desktop's snapshots, oldest first, and where it stands. @param {string} id @returns {Promise<{ at: string | null, snapshots: Snapshot[] }>} */
  async timeline(id) {
    return (await this.call(`v1/sandboxes/${encodeURIComponent(id)}/snapshots`)).json();
  }

  /** All snapshots. @returns {Promise<Snapshot[]>} */
  async snapshots() {
    return (await (await this.call('v1/snapshots')).json()).snapshots;
  }

  /** @param {string} id @param {string} snapshot @param {number} width pixels @returns {Promise<Blob>} */
  async thumbnail(id, snapshot, width) {
    return (await this.call(`v1/sandboxes/${encodeURIComponent(id)}/snapshots/${encodeURIComponent(snapshot)}/thumbnail?width=${width}`)).blob();
  }

  /** @param {string} id @returns {Promise<Snapshot>} */
  checkpoint(id) {
    return this.#post(`v1/sandboxes/${encodeURIComponent(id)}/checkpoint`, {});
  }

  /** @param {string} id @param {string} snapshot @returns {Promise<Sandbox>} */
  rollback(id, snapshot) {
    return this.#post(`v1/sandboxes/${encodeURIComponent(id)}/rollback`, { snapshot });
  }

  /** A desktop of its own that begins there. @param {string} id @param {string} snapshot @returns {Promise<{ url: string }>} */
  fork(id, snapshot) {
    return this.#post(`v1/sandboxes/${encodeURIComponent(id)}/snapshots/${encodeURIComponent(snapshot)}/fork`, {});
  }

  /** A terminal with the user's shell. @param {string} id @param {{ rows: number, columns: number }} size characters @returns {Promise<{ id: string }>} */
  startTerminal(id, size) {
    return this.#post(`v1/sandboxes/${encodeURIComponent(id)}/terminals`, size);
  }

  /** @param {string} path @param {object} body @returns {Promise<any>} */
  async #post(path, body) {
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': randomKey() };
    return (await this.call(path, { method: 'POST', body: JSON.stringify(body), headers }, SAVE_MS)).json();
  }

  /** All sandboxes that have not ended, page by page. @returns {Promise<Sandbox[]>} */
  async sandboxes() {
    /** @type {Sandbox[]} */
    const all = [];
    let cursor = '';
    do {
      const query = new URLSearchParams([['limit', '100'], ...LIVING.map((state) => ['state', state]), ...(cursor ? [['cursor', cursor]] : [])]);
      const page = await (await this.call(`v1/sandboxes?${query}`)).json();
      all.push(...page.sandboxes);
      cursor = page.cursor ?? '';
    } while (cursor !== '');
    return all;
  }
}

/** A fresh key for a call that must be done once; also where crypto.randomUUID is kept from the page. @returns {string} */
export function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
