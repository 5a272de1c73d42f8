// What the node says: single answers, pages of lists, and the stream of blocks.

const TIMEOUT_MS = 15_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

/** An answer that says no, or none at all. */
export class Problem extends Error {
  constructor(message, { code = 'unreachable', hint = null, status = 0 } = {}) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
  }

  /** Whether the node did not answer at all. */
  get lost() {
    return this.status === 0;
  }

  /** Whether there is no such thing. */
  get missing() {
    return this.status === 404;
  }
}

async function ask(path, { signal, accept = 'application/json' } = {}) {
  const patience = AbortSignal.timeout(TIMEOUT_MS);
  let answer;
  try {
    answer = await fetch(path, {
      headers: { accept },
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      cache: 'no-store',
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    heard(false);
    throw new Problem('the node does not answer');
  }
  heard(true);
  if (answer.ok) return answer;
  let detail = {};
  try {
    detail = (await answer.json()).error ?? {};
  } catch {
    // An error without words: the status has to do.
  }
  throw new Problem(detail.message ?? `the node answered ${answer.status}`, {
    code: detail.code ?? 'error',
    hint: detail.hint ?? null,
    status: answer.status,
  });
}

async function read(answer, kind) {
  try {
    return kind === 'bytes' ? new Uint8Array(await answer.arrayBuffer()) : await answer.json();
  } catch {
    throw new Problem('the answer broke off');
  }
}

/** The JSON at a path of this node. */
export async function get(path, signal) {
  return read(await ask(path, { signal }));
}

/** The bytes at a path of this node. */
export async function octets(path, signal) {
  return read(await ask(path, { signal, accept: 'application/octet-stream' }), 'bytes');
}

/** The same, or `null` where there is no such thing. */
export async function maybe(path, signal) {
  try {
    return await get(path, signal);
  } catch (error) {
    if (error instanceof Problem && error.missing) return null;
    throw error;
  }
}

/** A path with its parts and query encoded. */
export function at(parts, query = {}) {
  const path = parts.map((part) => encodeURIComponent(part)).join('/');
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return `/${path}${pairs.length ? `?${new URLSearchParams(pairs)}` : ''}`;
}

const listeners = new Set();
const state = { lost: false, full: false, retryAt: 0, now: null, block: null, heardAt: 0, tries: 0 };
let source = null;
let timer = 0;

/**
 * What is known of the node: `now`, its last `block` and when that came, whether it is `lost` or merely `full`, and
 * when it is tried again.
 */
export function node() {
  return state;
}

/** Calls `listener(kind, value)` for `now`, `block`, `lost`, `waiting` and `back` until the function that it gives is called. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(kind, value) {
  for (const listener of [...listeners]) listener(kind, value);
}

function heard(answered) {
  if (!answered && !state.lost) {
    lost();
  } else if (answered && state.lost && !state.full) {
    // It answers again: the stream need not wait for its turn.
    connect();
  }
}

function lost() {
  const first = !state.lost;
  state.lost = true;
  source?.close();
  source = null;
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(state.tries, 10));
  state.tries += 1;
  state.retryAt = Date.now() + wait;
  clearTimeout(timer);
  timer = setTimeout(connect, wait);
  tell(first ? 'lost' : 'waiting');
}

/** Follows the blocks of the node; comes back by itself, later and later, when it is gone. */
export function connect() {
  clearTimeout(timer);
  source?.close();
  source = new EventSource('/explorer/v1/live');
  source.addEventListener('open', () => {
    state.tries = 0;
    state.full = false;
    if (state.lost) {
      state.lost = false;
      tell('back');
    }
  });
  source.addEventListener('now', (event) => {
    const now = parsed(event);
    if (!now) return;
    state.now = now;
    if (!state.block || state.block.height < now.height) state.heardAt = Date.now() - Math.max(0, now.node?.behind_ms ?? 0);
    tell('now', now);
  });
  source.addEventListener('block', (event) => {
    const block = parsed(event);
    if (!block) return;
    // After a restart the node may tell the last block again.
    const again = state.block && state.block.height === block.height;
    state.block = block;
    state.heardAt = Date.now();
    if (!again) tell('block', block);
  });
  source.addEventListener('error', broken);
}

function parsed(event) {
  try {
    return JSON.parse(event.data);
  } catch {
    return null;
  }
}

// A stream that is refused looks like one that broke: only asking tells a full node from a lost one.
async function broken() {
  source?.close();
  source = null;
  try {
    state.full = (await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) })).ok;
  } catch {
    state.full = false;
  }
  if (state.full && state.tries === 0) {
    // A stream that merely ended is taken up again before anybody is told.
    state.tries = 1;
    timer = setTimeout(connect, FIRST_WAIT_MS / 2);
  } else {
    lost();
  }
}

/** Lets go of the stream while nobody looks, and of its retries. */
export function pause() {
  clearTimeout(timer);
  source?.close();
  source = null;
}
