// The parts that pages are made of: links, states, panels that load and stay up to date, tables.

import { Problem, at, get } from './api.js';
import { fill, h } from './dom.js';
import { ends, whole, words } from './format.js';
import { t } from './i18n.js';

/** The most rows that a list shows; whoever wants more loads them down. */
const MOST_ROWS = 5_000;

/** A link within the explorer. */
export function link(path, ...children) {
  return h('a', { href: path }, ...children);
}

/** A host or account, by the ends of its address or by a name beside it. */
export function account(address, name) {
  if (!address) return '–';
  const label = name ? words(name, 28) : ends(address);
  return h('a', { href: at(['hosts', address]), title: address, class: name ? null : 'mono' }, label);
}

/** A block. */
export function block(height) {
  return height === null || height === undefined ? '–' : link(at(['blocks', height]), whole(height));
}

/** A transaction. */
export function transaction(id) {
  return id ? h('a', { href: at(['tx', id]), title: id, class: 'mono' }, ends(id, 8, 4)) : '–';
}

/** A digest that leads nowhere. */
export function digest(value) {
  return value ? h('span', { class: 'mono', title: value }, ends(value, 8, 4)) : '–';
}

const TONES = {
  active: 'good', open: 'good', done: 'good', matured: 'good', standing: 'good', settled: 'good', innocent: 'good', right: 'good',
  leaving: 'warn', waiting: 'warn', closing: 'warn', pending: 'warn', silent: 'warn', undecided: 'warn', abandoned: 'warn',
  removed: 'bad', failed: 'bad', convicted: 'bad', withheld: 'bad', unrevealed: 'bad', omitted: 'bad', forfeited: 'bad', guilty: 'bad',
  unchecked: 'bad', no_randomness: 'warn', void: 'bad',
};

/** A word for a state, in its tone. */
export function tag(word, tone) {
  if (!word) return '–';
  const known = tone ?? TONES[word] ?? '';
  return h('span', { class: `tag ${known}` }, t(String(word).replaceAll('_', ' ')));
}

/** The page of the list that a figure comes from; `null` if it says none. */
export function trace(from) {
  if (!from) return null;
  const range = { from: from.from, to: from.to, model: from.model };
  if (from.transactions) return at(['transactions'], { kind: from.transactions, ...range });
  return at(['events'], { kinds: (from.kinds ?? []).join(','), ...range });
}

/** The head of a page. */
export function head(title, about, ...more) {
  return h('div', { class: 'head' }, h('h1', {}, title), ...more, about ? h('p', {}, about) : null);
}

/** Nothing there, and why. */
export function empty(title, about) {
  return h('div', { class: 'state' }, h('strong', {}, title), about ?? null);
}

/** What went wrong, and what to do. */
export function failed(error, retry) {
  const known = error instanceof Problem;
  const lost = known && error.lost;
  const title = lost ? t('The node does not answer.') : known && error.missing ? t('There is nothing here.') : t('This cannot be shown.');
  const about = lost
    ? t('It may be starting again. This is tried again by itself.')
    : known ? [words(error.message, 400), error.hint ? ` ${words(error.hint, 400)}` : ''] : t('The answer was not understood.');
  return h('div', { class: 'state error', role: 'alert' }, h('strong', {}, title), about,
    retry ? h('p', {}, h('button', { type: 'button', on: { click: retry } }, t('Try again'))) : null);
}

/** What stands where something will be. */
export function bones() {
  return h('div', { class: 'bones', role: 'status' }, h('span', { class: 'hidden' }, t('Loading')), h('i'), h('i'), h('i'));
}

/**
 * A part of a page that loads by itself. `load(signal)` gives what `render` shows; `when(kind, block)` says whether a
 * block makes it load again, at most every `gap` milliseconds. What is shown stays while it loads and when it fails.
 */
export function panel(context, { title, about, tools, load, render, when, gap = 3_000, bare = false, level = 'h2' }) {
  const body = h('div', { class: 'body' }, bones());
  const heading = title ? h('header', {}, h(level, {}, title), tools ? h('div', { class: 'tools' }, tools) : null, about ? h('p', {}, about) : null) : null;
  const node = bare ? body : h('section', { class: 'panel', 'aria-label': title ?? null }, heading, body);
  let shown = null;
  let busy = false;
  let again = false;
  let last = 0;
  let later = 0;

  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    last = Date.now();
    try {
      const data = await load(context.signal);
      const text = JSON.stringify(data, (_, value) => (typeof value === 'bigint' ? String(value) : value));
      if (text !== shown) {
        fill(body, render(data));
        shown = text;
      }
    } catch (error) {
      if (context.signal.aborted) return;
      if (shown === null || !(error instanceof Problem)) {
        shown = null;
        fill(body, failed(error, refresh));
      }
    } finally {
      busy = false;
    }
    if (again && !context.signal.aborted) {
      again = false;
      soon();
    }
  }

  function soon() {
    clearTimeout(later);
    const wait = Math.max(0, last + gap - Date.now());
    later = setTimeout(() => {
      if (!context.signal.aborted && document.visibilityState === 'visible') refresh();
    }, wait);
  }

  context.signal.addEventListener('abort', () => clearTimeout(later));
  context.on('back', soon);
  context.on('seen', soon);
  if (when) context.on('block', (value) => when(value) && soon());
  refresh();
  return Object.assign(node, { refresh });
}

/** A table. `columns`: `{ name, cell(row), num, row }`; `row` marks the one that names the row. */
export function table({ caption, columns, rows, none, quiet = false }) {
  if (rows.length === 0) return empty(none?.[0] ?? t('Nothing yet.'), none?.[1]);
  const cell = (column, row) => h(column.row ? 'th' : 'td', {
    scope: column.row ? 'row' : null,
    class: [column.num ? 'num' : '', column.wide ? 'wide' : ''].join(' ').trim() || null,
  }, column.cell(row) ?? '–');
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', {},
      h('caption', { class: quiet ? 'hidden' : null }, caption),
      h('thead', {}, h('tr', {}, columns.map((column) => h('th', { scope: 'col', class: column.num ? 'num' : null }, column.name)))),
      h('tbody', {}, rows.map((row) => h('tr', {}, columns.map((column) => cell(column, row)))))));
}

/** Links that load a table of the read model down. */
export function downloads(name, query = {}) {
  const to = (format) => at(['explorer', 'v1', name], { ...query, limit: 10_000, format });
  const one = (format, label) => h('a', { href: to(format), download: `${name}.${format}`, 'aria-label': `${name} ${label}` }, label);
  return [one('csv', 'CSV'), one('json', 'JSON')];
}

/** Rows of a table of the read model. */
export function rows(name, query, signal) {
  return get(at(['explorer', 'v1', ...name.split('/')], query), signal);
}

/** Facts by name. Pairs of `[name, value]`; a missing value is left out. */
export function facts(...pairs) {
  return h('dl', { class: 'facts' }, pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined)
    .map(([name, ...value]) => [h('dt', {}, name), h('dd', {}, ...value)]));
}

/**
 * A list that goes on: `load(after)` gives `{ rows, next }`. Only its first page stays up to date; a reader who has
 * gone further keeps what stands there.
 */
export function list(context, { title, about, tools, query = {}, name, columns, caption, none, when, gap }) {
  let more = [];
  let next = null;
  let first = { rows: [] };
  // The table is drawn into one place for good, so that further rows find it.
  const place = h('div');
  return panel(context, {
    title, about, when: (value) => more.length === 0 && when?.(value), gap,
    tools: tools ?? downloads(name, query),
    load: async (signal) => {
      const page = await rows(name, { ...query, limit: 50 }, signal);
      if (more.length === 0) next = page.next;
      return page;
    },
    render: (page) => {
      first = page;
      draw();
      return place;
    },
  });

  function draw() {
    fill(place, table({ caption, columns, rows: [...first.rows, ...more], none }),
      next === null || next === undefined ? null : h('p', { class: 'actions' }, h('button', { type: 'button', on: { click: further } }, t('Show more'))));
  }

  async function further(event) {
    event.currentTarget.disabled = true;
    try {
      const following = await rows(name, { ...query, limit: 200, after: next }, context.signal);
      more = [...more, ...following.rows].slice(0, MOST_ROWS);
      next = more.length >= MOST_ROWS ? null : following.next;
      draw();
    } catch (error) {
      if (!context.signal.aborted) place.append(failed(error));
    }
  }
}
