// The frame around the pages: bar, notices, routes, and what the stream of blocks moves.

import { connect, listen, node, pause } from './api.js';
import { fill, h } from './dom.js';
import { span, whole, words } from './format.js';
import { LANGUAGES, begin, choose, language, t } from './i18n.js';
import { empty, failed, bones, link } from './parts.js';

/** How long without a block until the light says so, in blocks. */
const LATE_BLOCKS = 8;

// Each page is a module that is loaded when it is first looked at. `area` is the entry of the menu it belongs to.
const ROUTES = [
  ['', 'now', 'page'],
  ['hosts', 'hosts', 'list'],
  ['hosts/:address', 'hosts', 'one'],
  ['accounts/:address', 'hosts', 'one', 'hosts'],
  ['sprint', 'sprint', 'page'],
  ['epochs', 'epochs', 'list', 'sprint'],
  ['epochs/:epoch', 'epochs', 'one', 'sprint'],
  ['requests', 'requests', 'page'],
  ['requests/:interval/:host', 'requests', 'commitment'],
  ['requests/:what', 'requests', 'page'],
  ['lanes', 'lanes', 'list'],
  ['lanes/:lane', 'lanes', 'one'],
  ['models', 'models', 'list', 'lanes'],
  ['models/:model', 'models', 'one', 'lanes'],
  ['prices', 'models', 'prices', 'lanes'],
  ['blocks', 'blocks', 'list'],
  ['blocks/:height', 'blocks', 'one'],
  ['transactions', 'blocks', 'transactions', 'blocks'],
  ['tx/:id', 'blocks', 'transaction', 'blocks'],
  ['events', 'blocks', 'events', 'blocks'],
  ['parameters', 'parameters', 'page'],
  ['endorsements', 'endorsements', 'page'],
  ['endorsements/:id', 'endorsements', 'one'],
  ['try', 'try', 'page'],
];

const menu = () => [
  ['', t('Now')], ['hosts', t('Hosts')], ['sprint', t('Sprint')], ['requests', t('Requests')], ['lanes', t('Lanes')],
  ['blocks', t('Blocks')], ['parameters', t('Parameters')], ['endorsements', t('Endorsements')], ['try', t('Try it')],
];

const main = document.getElementById('main');
const notice = document.getElementById('notice');
let leave = new AbortController();

function route(path) {
  let parts;
  try {
    parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return null;
  }
  for (const [pattern, module, view, area] of ROUTES) {
    const places = pattern.split('/').filter(Boolean);
    if (places.length !== parts.length) continue;
    const params = {};
    const fits = places.every((place, index) => {
      if (!place.startsWith(':')) return place === parts[index];
      params[place.slice(1)] = parts[index];
      return true;
    });
    if (fits) return { module, view, params, area: area ?? places[0] ?? '' };
  }
  return null;
}

async function show({ focus = false } = {}) {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const found = route(location.pathname);
  mark(found?.area);
  fill(main, bones());
  if (focus) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  const context = {
    signal,
    params: found?.params ?? {},
    query: new URLSearchParams(location.search),
    go,
    on(kind, listener) {
      const off = kind === 'seen' ? seen(listener) : listen((told, value) => told === kind && !signal.aborted && listener(value));
      signal.addEventListener('abort', off);
    },
  };
  let title = t('Not found');
  try {
    if (!found) {
      fill(main, empty(t('There is no such page.'), [t('The menu above has all there are.'), ' ', link('/', t('Go to the beginning'))]));
    } else {
      const module = await import(`./pages/${found.module}.js`);
      if (signal.aborted) return;
      const made = module[found.view](context);
      title = made.title;
      fill(main, made.nodes);
    }
  } catch (error) {
    if (signal.aborted) return;
    // A part of the page that did not come is not asked for again by the browser: only a new page helps.
    fill(main, failed(error, () => location.reload()));
    context.on('back', () => location.reload());
  }
  const network = node().now?.name;
  document.title = [words(title, 60), network ? words(network, 30) : null, 'Freeway'].filter(Boolean).join(' · ');
}

function seen(listener) {
  const heard = () => document.visibilityState === 'visible' && listener();
  document.addEventListener('visibilitychange', heard);
  return () => document.removeEventListener('visibilitychange', heard);
}

// The page that asks a gateway is allowed to ask other addresses, the others are not: between them the browser loads anew.
function apart(path) {
  return path === '/try' || location.pathname === '/try';
}

function go(path) {
  if (apart(path.split('?')[0])) {
    location.assign(path);
    return;
  }
  history.pushState(null, '', path);
  show({ focus: true });
}

// Links stay within the page, unless they are asked to do something else or lead out of it.
document.addEventListener('click', (event) => {
  const anchor = event.target.closest?.('a[href]');
  if (!anchor || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (anchor.hasAttribute('download') || anchor.target) return;
  const to = new URL(anchor.href, location.href);
  if (to.origin !== location.origin || to.hash || !route(to.pathname) || apart(to.pathname)) return;
  event.preventDefault();
  go(to.pathname + to.search);
});
addEventListener('popstate', () => show());

// The bar.
const bar = {};

function frame() {
  document.getElementById('skip').textContent = t('Skip to content');
  bar.dot = h('span', { class: 'dot' });
  bar.height = h('a', { href: '/blocks', title: t('Blocks') }, '–');
  bar.ago = h('span', { class: 'ago' });
  bar.net = h('span', { class: 'net' });
  bar.links = menu().map(([path, name]) => h('a', { href: `/${path}` }, name));
  bar.phase = h('span', { class: 'hidden', 'aria-live': 'polite' });
  fill(document.getElementById('bar'), h('div', { class: 'bar-in' },
    h('div', { class: 'bar-top' },
      h('a', { class: 'name', href: '/' }, h('img', { src: '/assets/favicon.svg', alt: '', width: '24', height: '24' }), 'Freeway', bar.net),
      h('div', { class: 'pulse' }, bar.dot, bar.height, bar.ago, bar.phase)),
    h('nav', { class: 'main', 'aria-label': t('Pages') }, bar.links)));
  fill(document.getElementById('foot'),
    h('span', {}, t('All numbers come from this node, which computes every block itself.')),
    h('a', { href: '/openapi.json' }, 'OpenAPI'), h('a', { href: '/metrics' }, t('Metrics')),
    h('div', { class: 'end' }, themes(), tongues()));
  beat();
  warn();
}

function themes() {
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  const label = () => (dark() ? t('Light colours') : t('Dark colours'));
  return h('button', { type: 'button', class: 'plain', on: { click: (event) => {
    const next = dark() ? 'light' : 'dark';
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem('theme', next);
    } catch {
      // Without storage it holds for this page alone.
    }
    event.currentTarget.textContent = label();
    document.dispatchEvent(new Event('theme'));
  } } }, label());
}

function tongues() {
  return Object.entries(LANGUAGES).map(([code, name]) => {
    const used = language().startsWith(code);
    return h('button', { type: 'button', class: 'plain', lang: code === 'zh' ? 'zh-CN' : code, 'aria-pressed': String(used), on: { click: async () => {
      await choose(code);
      frame();
      show();
    } } }, name);
  });
}

function mark(area) {
  for (const anchor of bar.links) {
    if (area !== undefined && anchor.getAttribute('href') === `/${area}`) {
      anchor.setAttribute('aria-current', 'page');
      if (anchor.parentElement.scrollWidth > anchor.parentElement.clientWidth) {
        anchor.parentElement.scrollLeft = anchor.offsetLeft - anchor.parentElement.clientWidth / 2;
      }
    } else {
      anchor.removeAttribute('aria-current');
    }
  }
}

// How long ago the last block came, each second.
function beat() {
  const known = node();
  const height = known.block?.height ?? known.now?.height;
  if (bar.net.textContent !== (known.now?.name ?? '')) bar.net.textContent = words(known.now?.name ?? '', 30);
  if (height === undefined) return;
  bar.height.textContent = whole(height);
  const ago = (Date.now() - known.heardAt) / 1000;
  bar.ago.textContent = known.heardAt ? t('{time} ago', { time: span(ago) }) : '';
  const pace = (known.now?.clock?.block_ms ?? 1000) / 1000;
  const state = known.lost ? 'lost' : ago > Math.max(10, pace * LATE_BLOCKS) ? 'late' : 'live';
  const beating = bar.dot.classList.contains('beat');
  bar.dot.className = `dot ${state}${beating ? ' beat' : ''}`;
  bar.dot.title = { live: t('Blocks come'), late: t('No block for a while'), lost: t('The node does not answer') }[state];
}

// What the reader has to know about the node before trusting a number.
function warn() {
  const known = node();
  const lines = [];
  const at = known.block?.height ?? known.now?.height;
  if (known.lost && known.full) {
    lines.push(['', t('The node has as many readers as it serves. What you see is of block {height} and is not live; this is tried again.', { height: whole(at) })]);
  } else if (known.lost && at === undefined) {
    lines.push(['bad', t('The node does not answer. It is tried again by itself.')]);
  } else if (known.lost) {
    lines.push(['bad', t('The node does not answer. What you see is of block {height}; it is tried again by itself.', { height: whole(at) })]);
  } else {
    const history = known.now?.history;
    if (known.now?.node && !known.now.node.synced) {
      lines.push(['', t('This node is catching up: its last block is {time} old. Numbers here are of that moment.', { time: span(known.now.node.behind_ms / 1000) })]);
    }
    if (history?.state === 'catching_up') {
      lines.push(['', t('The history is being read from the chain: it reaches block {height}, {behind} to go.', { height: whole(history.height), behind: whole(history.behind) })]);
    } else if (history?.state === 'stopped') {
      lines.push(['bad', t('The history stands still at block {height}: {problem}', { height: whole(history.height), problem: words(history.problem ?? '', 200) })]);
    }
  }
  const text = JSON.stringify(lines);
  if (notice.dataset.text === text) return;
  notice.dataset.text = text;
  fill(notice, lines.map(([tone, words]) => h('div', { class: `notice ${tone}` }, words)));
}

listen((kind, value) => {
  if (kind === 'block') {
    bar.dot.classList.remove('beat');
    // Reading a size makes the browser begin the animation again.
    void bar.dot.offsetWidth;
    bar.dot.classList.add('beat');
    const phase = `${value.epoch} ${value.phase}`;
    if (bar.last && bar.last !== phase) bar.phase.textContent = t('Epoch {epoch}: {phase}', { epoch: value.epoch, phase: t(value.phase.replaceAll('_', ' ')) });
    bar.last = phase;
  }
  beat();
  warn();
});

await begin();
frame();
connect();
setInterval(beat, 1000);
// A page that nobody sees does not need the stream.
let hiding = 0;
document.addEventListener('visibilitychange', () => {
  clearTimeout(hiding);
  if (document.visibilityState === 'hidden') hiding = setTimeout(pause, 60_000);
  else if (Date.now() - node().heardAt > 5_000 || node().lost) connect();
});
// The other pages are fetched while there is time, so that they are there when the node is not.
(window.requestIdleCallback ?? setTimeout)(() => {
  for (const name of new Set(ROUTES.map(([, module]) => module))) import(`./pages/${name}.js`).catch(() => {});
});
addEventListener('pagehide', pause);
addEventListener('pageshow', (event) => event.persisted && connect());
show();
