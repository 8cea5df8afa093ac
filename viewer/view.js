/** The page that shows one desktop: puts the parts together. */

import { Api } from './api.js';
import { copyHere } from './clipboard.js';
import { Control } from './control.js';
import { byId, setText } from './dom.js';
import { Input } from './input.js';
import { Keyboard } from './keyboard.js';
import { Notes } from './notes.js';
import { listenPointing } from './pointing.js';
import { Screen } from './screen.js';
import { Session } from './session.js';
import { StatsPanel } from './stats_panel.js';
import { TerminalPanel } from './terminal_panel.js';
import { statusOf } from './status.js';
import { Timeline } from './timeline.js';
import { beginAnewWithLinks, takeCredential } from './token.js';
import { setSendable, setUpToolbar } from './toolbar.js';
import { listenTyping, platform } from './typing.js';
import { listenDrops, Uploads } from './uploads.js';
import { message } from './wire.js';

/** @typedef {import('./wire.js').FromStreamer} FromStreamer */

const COUNT_EVERY_MS = 250;

const sandbox = decodeURIComponent(location.pathname.replace(/\/+$/, '').split('/').pop() ?? '');
const token = takeCredential('token', `view:${sandbox}`);
beginAnewWithLinks('token');
const api = new Api(token ?? '');
const notes = new Notes(byId('notes', HTMLElement));
const field = byId('keys', HTMLTextAreaElement);
/** @type {import('./status.js').Desktop} */
let desktop = { state: 'live', reason: null };

const session = new Session(api, sandbox, {
  changed: showStatus,
  info: (info) => {
    setText(byId('name', HTMLElement), info.name || sandbox);
    setText(byId('template', HTMLElement), info.template === info.name ? '' : info.template);
    document.title = info.name || sandbox;
    setRights(info.rights);
    control.setTakes(info.takes_control ?? false);
    if (!session.isUp) screen.setSize(info);
  },
  show: (element) => screen.show(element),
  lost: () => {
    input.release();
    screen.keepPicture();
    control.lost();
    if (!session.isUp) terminal.doubt();
  },
  message: receive,
  frame: (facts) => stats.frame(facts),
});
const send = (/** @type {import('./wire.js').Message} */ one) => session.send(one);
const screen = new Screen(byId('stage', HTMLElement), byId('surface', HTMLElement), byId('remote', HTMLImageElement), (size) => send(message.resize(size.width, size.height)));
const keyboard = new Keyboard(platform());
const input = new Input(keyboard, {
  send,
  point: (x, y) => session.point(x, y),
  leave: focusBar,
  listens: () => document.activeElement === field,
  mostBytes: () => session.mostBytes,
  notPasted: (why) => notes.show('not-pasted', { text: `The text was not pasted: ${why.replace(/\.$/, '')}.`, hint: 'The key that pastes was not sent.', tone: 'bad' }),
});
const control = new Control(byId('lease', HTMLElement), byId('menu-lease', HTMLElement), notes, { send, changed: controlChanged });
const uploads = new Uploads(byId('uploads', HTMLElement), api, sandbox);
const stats = new StatsPanel(byId('stats', HTMLElement), session, notes);
const timeline = new Timeline(api, sandbox, notes);
const terminal = new TerminalPanel(byId('terminal', HTMLElement), api, sandbox, notes, { leave: focusBar, ended: () => toolbar.closeTerminal() });
const toolbar = setUpToolbar({ setLayout: (layout) => screen.setLayout(layout), tap: (keys) => input.tap(keys), upload: (files) => uploads.add(files), panels: { stats, timeline, terminal }, keyboard, notes, focusScreen });

/** @param {FromStreamer} one */
function receive(one) {
  switch (one.t) {
    case 'hello':
      desktop = { state: 'live', reason: null };
      setRights(one.rights);
      screen.setSize(one);
      if (stats.isOpen) stats.ask();
      return showStatus();
    case 'size':
      return screen.setSize(one);
    case 'cursor':
      return void screen.cursor.set(one);
    case 'pointer':
      return screen.cursor.remoteAt(one.x, one.y);
    case 'state':
      desktop = { state: one.state, reason: one.reason ?? null };
      if (one.state === 'ended') session.sandboxEnded(one.reason ?? '');
      return showStatus();
    case 'lease':
      return control.take(one);
    case 'clipboard':
      // the server tells only news: what this page pasted does not come back
      return void copyHere(one.text, notes);
    case 'clipboard-set':
      return input.clipboardIsSet(one.n);
    case 'stats':
      return stats.take(one);
    case 'error':
      control.refused();
      if (one.n !== undefined) return input.clipboardIsRefused(one.n, one.message);
      return notes.show(`error-${one.code}`, { text: one.message, hint: one.hint ?? '', tone: 'bad' });
  }
}

function controlChanged() {
  const drives = control.drives && session.isUp;
  const began = drives && !input.drives;
  input.setDrives(drives);
  screen.setDrives(drives);
  field.disabled = !drives;
  setSendable(drives);
  document.body.classList.toggle('driving', drives);
  // the press on "take control" was meant for the desktop's keyboard as well
  if (began && !terminal.hasFocus && matchMedia('(pointer: fine)').matches) focusScreen();
}

/** @param {'view' | 'control'} rights */
function setRights(rights) {
  control.setRights(rights);
  if (rights === 'view' && terminal.isOpen) toolbar.closeTerminal();
}

function focusBar() {
  byId('menu-button', HTMLElement).focus();
}

function focusScreen() {
  if (input.drives) field.focus({ preventScroll: true });
}

function showStatus() {
  const status = statusOf(session.connection, desktop, performance.now());
  document.body.dataset.state = status.name;
  byId('mark', HTMLElement).dataset.tone = status.tone;
  setText(byId('mark-word', HTMLElement), status.word);
  const { cover } = status;
  byId('cover', HTMLElement).hidden = cover === null;
  if (cover === null) return;
  setText(byId('cover-title', HTMLElement), cover.title);
  setText(byId('cover-text', HTMLElement), cover.text);
  byId('cover-spinner', HTMLElement).hidden = !cover.busy;
  const retry = byId('cover-retry', HTMLButtonElement);
  retry.hidden = cover.retry === null;
  setText(retry, cover.retry ?? '');
}

function start() {
  listenTyping(field, input, (text) => input.paste(text));
  listenPointing(screen, input, { pressed: () => control.pressed(), focus: focusScreen });
  listenDrops(document.body, () => control.mayControl, (files) => uploads.add(files));
  byId('cover-retry', HTMLButtonElement).addEventListener('click', () => session.retry());
  setInterval(showStatus, COUNT_EVERY_MS);
  showStatus();
  session.start();
}

start();
