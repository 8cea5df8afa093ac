/** What is shown of who drives, and what may be asked. Pure. */

/** @typedef {import('./wire.js').Lease} Lease */
/** @typedef {import('./wire.js').LeaseWish} LeaseWish */
/** @typedef {{ want: LeaseWish, text: string, hint: string, primary?: boolean }} Choice */
/** @typedef {{ label: string, tone: 'mine' | 'agent' | 'other' | 'free' | 'view', choices: Choice[], asks: string | null }} LeaseView `asks`: who asks this person for control */

/** @type {Choice} */
const TAKE = { want: 'take', text: 'Take control', hint: 'Drive the desktop yourself; the agent waits', primary: true };
/** @type {Choice} */
const ASK = { want: 'request', text: 'Ask for control', hint: 'Who drives is asked', primary: true };
/** @type {Choice} */
const TAKE_OVER = { want: 'take', text: 'Take over', hint: 'Take control without waiting for an answer' };
/** @type {Choice} */
const GIVE_BACK = { want: 'give', text: 'Give back', hint: 'The agent, or who asked, goes on' };
/** @type {Choice} */
const RELEASE = { want: 'release', text: 'Release', hint: 'Nobody drives; anyone may take control' };

/**
 * @param {Lease | null} lease null: not known yet @param {'view' | 'control'} rights
 * @param {{ asked: boolean, kept: string | null }} here whether this person asked; whose request was turned down
 * @returns {LeaseView}
 */
export function leaseView(lease, rights, here) {
  if (rights === 'view') return { label: drivenBy(lease, 'View only'), tone: 'view', choices: [], asks: null };
  if (lease === null) return { label: '', tone: 'free', choices: [], asks: null };
  const wanted = lease.wanted_by ?? null;
  switch (lease.holder) {
    case 'you':
      return { label: 'You drive', tone: 'mine', choices: [GIVE_BACK, RELEASE], asks: wanted === here.kept ? null : wanted };
    case 'agent':
      return { label: drivenBy(lease, ''), tone: 'agent', choices: [TAKE], asks: null };
    case 'other':
      return { label: here.asked ? `Asked ${lease.name ?? 'who drives'} …` : drivenBy(lease, ''), tone: 'other', choices: here.asked ? [TAKE_OVER] : [ASK, TAKE_OVER], asks: null };
    default:
      return { label: 'Nobody drives', tone: 'free', choices: [TAKE], asks: null };
  }
}

/** @param {Lease | null} lease @param {string} before @returns {string} */
function drivenBy(lease, before) {
  const who = lease?.holder === 'agent' ? 'Agent drives' : lease?.holder === 'other' ? `${lease.name || 'Somebody else'} drives` : '';
  return [before, who].filter(Boolean).join(' · ');
}

/**
 * Whether control that was had before the connection broke is taken again: only if nobody else has it now.
 * @param {Lease} lease @param {boolean} had @returns {boolean}
 */
export const takesAgain = (lease, had) => had && lease.holder === 'none';
