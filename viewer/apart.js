/** Opens a desktop's page apart from this one. */

import { Problem } from './api.js';
import { element } from './dom.js';

/**
 * A press counts for some seconds; when the server took longer, another is asked for.
 * @param {string} url as the server gave it @param {string} name @param {import('./notes.js').Notes} notes
 */
export function openApart(url, name, notes) {
  const target = new URL(url, location.href);
  if (target.protocol !== 'http:' && target.protocol !== 'https:') throw new Problem(0, 'The server gave no address', '', '');
  // a page of its own: as `noopener` it gets no copy of this tab's storage, where the key is
  const go = () => element('a', { href: target.href, target: '_blank', rel: 'noopener noreferrer' }).click();
  if (navigator.userActivation?.isActive !== false) return go();
  notes.show('open', { text: `${name} is ready.`, lastsMs: 0, actions: [{ text: 'Open', primary: true, run: go }] });
}
