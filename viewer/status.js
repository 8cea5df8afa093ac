/** The one clear state of the view at a moment, in words. Pure. */

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {{ state: 'live' | 'frozen' | 'paused' | 'ended', reason: string | null }} Desktop what the streamer says of it */
/**
 * `word` and `tone` are for the mark in the bar; `cover` lies over the picture.
 * @typedef {{ name: string, word: string, tone: 'good' | 'fair' | 'busy' | 'bad' | 'still', cover: Cover | null }} Status
 * @typedef {{ title: string, text: string, busy: boolean, retry: string | null }} Cover `retry`: words on a button
 */

/**
 * @param {Pick<Connection, 'phase' | 'cause' | 'reason' | 'why' | 'retryAt' | 'wasUp' | 'trying'>} connection @param {Desktop} desktop @param {number} now ms
 * @returns {Status}
 */
export function statusOf(connection, desktop, now) {
  switch (connection.phase) {
    case 'ended':
      return ended(connection);
    case 'waiting':
      return waiting(connection, now);
    case 'idle':
    case 'connecting':
      return connecting(connection);
    default:
      return up(connection.phase, desktop);
  }
}

/** @param {Pick<Connection, 'reason' | 'wasUp' | 'trying'>} connection @returns {Status} */
function connecting({ reason, wasUp, trying }) {
  const said = reason === null ? null : sentence(reason);
  if (wasUp) return status('reconnecting', 'Reconnecting', 'busy', cover('Reconnecting', said ?? 'The picture is the last one that arrived.', true));
  return status('connecting', 'Connecting', 'busy', cover('Connecting', said ?? (trying === 'socket' ? 'Trying another way in.' : ''), true));
}

/** @param {'live' | 'fallback'} phase @param {Desktop} desktop @returns {Status} */
function up(phase, desktop) {
  if (desktop.state === 'paused') return status('paused', 'Paused', 'still', cover('Paused', desktop.reason ?? 'The desktop is kept on disk. It goes on where it stopped.', false));
  if (desktop.state === 'frozen') return status('frozen', 'Frozen', 'still', null);
  return phase === 'live' ? status('live', 'Live', 'good', null) : status('fallback', 'Live, fallback', 'fair', null);
}

/** @param {Pick<Connection, 'cause' | 'reason' | 'retryAt' | 'wasUp'>} connection @param {number} now @returns {Status} */
function waiting(connection, now) {
  if (connection.cause === 'paused') return status('paused', 'Paused', 'still', cover('Paused', 'The desktop is kept on disk. The view comes back when it is resumed.', false));
  if (connection.cause === 'starting') return status('connecting', 'Starting', 'busy', cover('Starting', 'The desktop is being made.', true));
  const seconds = Math.max(1, Math.ceil(((connection.retryAt ?? now) - now) / 1000));
  const word = connection.wasUp ? 'Reconnecting' : 'No connection';
  return status('reconnecting', word, 'busy', cover(word, `${sentence(connection.reason ?? 'the server does not answer')} Next try in ${seconds} s.`, true, 'Try now'));
}

/** @param {Pick<Connection, 'reason' | 'why'>} connection @returns {Status} */
function ended(connection) {
  if (connection.why === 'access') {
    return status('ended', 'No access', 'bad', cover('This link no longer works', connection.reason || 'It has expired or was taken back. Ask for a new one.', false, 'Try again'));
  }
  return status('ended', 'Ended', 'bad', cover('This desktop has ended', connection.reason || 'It is not there any more.', false, 'Look again'));
}

/** @param {string} name @param {string} word @param {Status['tone']} tone @param {Cover | null} cover_ @returns {Status} */
const status = (name, word, tone, cover_) => ({ name, word, tone, cover: cover_ });

/** @param {string} title @param {string} text @param {boolean} busy @param {string | null} [retry] @returns {Cover} */
const cover = (title, text, busy, retry = null) => ({ title, text, busy, retry });

/** @param {string} text as the server writes it @returns {string} */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`;
