// Try it: a talk with a model through a gateway, with the receipt of each answer.

import { get, node } from '../api.js';
import { fill, h } from '../dom.js';
import { coins, ends, words } from '../format.js';
import { t } from '../i18n.js';
import { account, head, link } from '../parts.js';
import { HANDED } from './requests.js';

const MAX_TURNS = 24;
const MAX_TOKENS = 512;
const PATIENCE_MS = 120_000;

function kept(name) {
  try {
    return sessionStorage.getItem(name) ?? '';
  } catch {
    return '';
  }
}

function keep(name, value) {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Without storage it is asked for again.
  }
}

/** The base of an API as it is asked at, or `null` if it is none. */
function base(text) {
  try {
    const url = new URL(text.trim(), location.origin);
    if (!/^https?:$/.test(url.protocol) || url.username || url.password) return null;
    return url.origin + url.pathname.replace(/\/+$/, '');
  } catch {
    return null;
  }
}

/** The events of a stream: each `data:` up to `[DONE]`. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    if (rest.length > 1 << 20) throw new Error('too long');
    const lines = rest.split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;
      const data = line.slice(5).trim();
      if (data === '[DONE]') return;
      yield JSON.parse(data);
    }
  }
}

function cors() {
  return h('details', {}, h('summary', {}, t('The gateway does not answer this page?')),
    h('p', {}, t('Browsers ask a gateway of another address only if it allows this page’s origin. It does not by default. Allow it where you run the gateway, and start it again:')),
    h('pre', { tabindex: '0' }, `freeway gateway --cors ${location.origin} …\n\n# or in gateway.toml\n[gateway]\ncors = ["${location.origin}"]`),
    h('p', {}, t('freeway up has allowed its own nodes’ pages, and prints the API’s address and key when it starts.')));
}

function receiptLine(own, freeway, setup, signal) {
  if (!freeway?.receipt) return h('p', { class: 'soft' }, t('Free answer, without receipt: the gateway had no open lane, or it is a host’s own.'));
  const said = h('span', { role: 'status' });
  const open = async () => {
    said.textContent = '';
    try {
      const answer = await fetch(`${setup.base}/receipts/${encodeURIComponent(freeway.receipt)}`, { headers: { authorization: `Bearer ${setup.key}` }, signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]) });
      if (!answer.ok) throw new Error(String(answer.status));
      keep(HANDED, await answer.text());
      own.go('/requests');
    } catch {
      if (!signal.aborted) said.textContent = ` ${t('The gateway does not show it to this page.')}`;
    }
  };
  return h('p', { class: 'actions soft' }, freeway.host ? account(freeway.host) : null, freeway.fee !== undefined ? h('span', {}, `${coins(freeway.fee)} FWY`) : null,
    h('span', {}, t('receipt'), ' ', h('code', { title: freeway.receipt }, ends(freeway.receipt, 12, 0))), h('button', { type: 'button', on: { click: open } }, t('Verify it here')), said);
}

export function page(context) {
  const asked = context.query.get('api');
  const talk = h('div', { class: 'talk', role: 'log', 'aria-label': t('Talk') });
  const turns = [];
  const field = (id, label, extra, hint) => h('div', { class: 'field' }, h('label', { for: id }, label), h('input', { id, name: id, spellcheck: 'false', maxlength: '400', ...extra }), hint ? h('p', { class: 'hint' }, hint) : null);
  const api = field('api', t('API'), { type: 'url', required: true, autocomplete: 'off', value: asked ?? (kept('api') || (node().now?.api ?? '')), placeholder: 'http://127.0.0.1:8700/v1' }, t('the base URL of a gateway, ending in /v1'));
  // A key is for the address that it was given for, and not for one that a link names.
  const known = asked === null || base(asked) === kept('api') ? kept('key') : '';
  const key = field('key', t('Key'), { type: 'password', autocomplete: 'off', value: known }, t('stays in this tab; goes to that address alone'));
  const names = h('datalist', { id: 'models' });
  const model = field('model', t('Model'), { required: true, autocomplete: 'off', value: 'guide', list: 'models' });
  const question = h('textarea', { id: 'question', name: 'question', required: true, maxlength: '8000', rows: '3' });
  const send = h('button', { type: 'submit', class: 'first' }, t('Ask'));
  const stop = h('button', { type: 'button', disabled: true }, t('Stop'));
  const said = h('p', { role: 'status' });
  // A network that knows its gateway names it.
  context.on('now', (now) => {
    const input = api.querySelector('input');
    if (input.value === '' && typeof now.api === 'string') input.value = now.api;
  });
  let running = null;
  stop.addEventListener('click', () => running?.abort());

  get('/v1/models?limit=100', context.signal).then((view) => fill(names, view.models.map((one) => h('option', { value: one.name }))), () => {});

  async function ask(event) {
    event.preventDefault();
    const setup = { base: base(api.querySelector('input').value), key: key.querySelector('input').value.trim() };
    const text = question.value.trim();
    if (!setup.base) {
      said.textContent = t('The API is no address: it looks like http://127.0.0.1:8700/v1');
      return;
    }
    if (!text) return;
    keep('api', setup.base);
    keep('key', setup.key);
    said.textContent = '';
    send.disabled = true;
    stop.disabled = false;
    running = new AbortController();
    const answer = h('div', { class: 'said other' });
    talk.append(h('div', { class: 'said own' }, text), answer);
    turns.push({ role: 'user', content: text });
    let whole = '';
    let freeway = null;
    try {
      const response = await fetch(`${setup.base}/chat/completions`, {
        method: 'POST', signal: AbortSignal.any([context.signal, running.signal, AbortSignal.timeout(PATIENCE_MS)]),
        headers: { 'content-type': 'application/json', ...(setup.key ? { authorization: `Bearer ${setup.key}` } : {}) },
        body: JSON.stringify({ model: model.querySelector('input').value.trim(), messages: turns.slice(-MAX_TURNS), stream: true, max_tokens: MAX_TOKENS }),
      });
      if (!response.ok) {
        const detail = await response.json().catch(() => null);
        throw Object.assign(new Error(detail?.error?.message ?? `${response.status}`), { told: true });
      }
      const receipt = response.headers.get('x-freeway-receipt');
      if (receipt) freeway = { receipt };
      for await (const part of events(response.body)) {
        const more = part.choices?.[0]?.delta?.content;
        if (typeof more === 'string') {
          whole += more;
          answer.append(more);
        }
        if (part.freeway) freeway = { ...freeway, ...part.freeway };
      }
      turns.push({ role: 'assistant', content: whole });
      question.value = '';
      talk.append(receiptLine(context, freeway, setup, context.signal));
    } catch (error) {
      if (context.signal.aborted) return;
      if (whole) turns.push({ role: 'assistant', content: whole });
      else turns.pop();
      if (!whole) answer.remove();
      said.textContent = running.signal.aborted ? t('Stopped.') : error.told ? t('The gateway says: {problem}', { problem: words(error.message, 300) }) : t('The gateway cannot be reached from this page. See below how to allow it.');
    } finally {
      send.disabled = false;
      stop.disabled = true;
      question.focus();
    }
  }

  return {
    title: t('Try it'),
    nodes: [
      head(t('Try it'), [t('Talk with a model through a gateway: it pays hosts by the token through a lane, and each answer ends with a receipt that you can verify.'), ' ', link('/lanes', t('Lanes'))]),
      h('section', { class: 'panel', 'aria-label': t('Talk') },
        h('form', { on: { submit: ask } },
          h('div', { class: 'fields' }, api, key, model), names, talk,
          h('div', { class: 'field' }, h('label', { for: 'question' }, t('Question')), question),
          h('div', { class: 'actions' }, send, stop, said))),
      h('section', { class: 'panel', 'aria-label': t('Help') }, cors()),
    ],
  };
}
