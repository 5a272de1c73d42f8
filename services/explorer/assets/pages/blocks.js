// Blocks, transactions and events: where every number ends.

import { at, get } from '../api.js';
import { h } from '../dom.js';
import { bytes, ends, moment, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, digest, facts, head, link, list as listed, panel, table, tag, transaction as tx } from '../parts.js';

/** What a value in a message or an event is written as: addresses and blocks lead on. */
export function value(name, what, depth = 0) {
  if (what === null || what === undefined) return '–';
  if (Array.isArray(what)) {
    if (what.length === 0) return '–';
    const some = what.slice(0, 24).map((one) => h('div', {}, value(name, one, depth + 1)));
    return what.length > 24 ? [some, t('and {n} more', { n: whole(what.length - 24) })] : some;
  }
  if (typeof what === 'object') {
    if (depth > 3) return words(JSON.stringify(what), 300);
    return facts(...Object.entries(what).slice(0, 40).map(([key, inner]) => [words(key.replaceAll('_', ' '), 40), value(key, inner, depth + 1)]));
  }
  if (typeof what === 'boolean') return what ? t('yes') : t('no');
  const text = String(what);
  if (/^fwy1[02-9ac-hj-np-z]{50,80}$/.test(text)) return account(text);
  if (name === 'lane') return link(at(['lanes', text]), text);
  if (name === 'endorsement') return link(at(['endorsements', text]), text);
  if (name === 'model') return link(at(['models', text]), ends(text, 8, 4));
  if (['until', 'deadline', 'height', 'free_at'].includes(name) && /^\d+$/.test(text)) return t('block {height}', { height: whole(text) });
  if (['amount', 'fees', 'paid', 'bond', 'escrow', 'emission', 'pooled', 'penalty', 'refund', 'left', 'capacity', 'served', 'bonded', 'verdicts', 'collateral', 'allowance'].includes(name)
    && typeof what === 'string' && /^\d+$/.test(text)) return money(text);
  if (/^[0-9a-f]{40,}$/.test(text)) return h('span', { class: 'mono', title: words(text, 400) }, ends(text, 12, 6));
  return typeof what === 'number' ? whole(what) : words(text, 300);
}

function money(units) {
  const unit = 1_000_000_000n;
  const all = BigInt(units);
  const fraction = String(all % unit).padStart(9, '0').replace(/0+$/, '');
  return `${whole(all / unit)}${fraction ? `.${fraction}` : ''} FWY`;
}

function caused(all) {
  return table({
    caption: t('What it caused'), quiet: true, rows: all, none: [t('Nothing.')],
    columns: [
      { name: t('What'), row: true, cell: (row) => h('code', {}, row.type) },
      { name: t('Details'), wide: true, cell: ({ type, ...rest }) => value(type, rest) },
    ],
  });
}

function between(query) {
  const [from, to] = [query.get('from'), query.get('to')];
  if (from && to) return t('Blocks {from} to {to}.', { from: whole(from), to: whole(to) });
  return null;
}

export function list(context) {
  const query = { from: context.query.get('from'), to: context.query.get('to') };
  return {
    title: t('Blocks'),
    nodes: [
      head(t('Blocks'), [t('Each block is signed by more than two thirds of the voting power. Look one up by its height, or a transaction by its hash.'), ' ', between(context.query)]),
      finder(context),
      listed(context, {
        title: t('Latest blocks'), name: 'blocks', query, caption: t('Blocks, newest first'), gap: 1_000, when: () => !query.to,
        columns: [
          { name: t('Height'), row: true, cell: (row) => block(row.height) },
          { name: t('Time'), cell: (row) => moment(row.time_ms) },
          { name: t('Epoch'), num: true, cell: (row) => whole(row.epoch) },
          { name: t('Phase'), cell: (row) => t(String(row.phase).replaceAll('_', ' ')) },
          { name: t('Transactions'), num: true, cell: (row) => whole(row.transactions) },
          { name: t('Failed'), num: true, cell: (row) => whole(row.failed) },
          { name: t('Size'), num: true, cell: (row) => bytes(row.bytes) },
          { name: t('Round'), num: true, cell: (row) => whole(row.round) },
          { name: t('Signers'), num: true, cell: (row) => whole(row.signers) },
          { name: t('Proposer'), cell: (row) => account(row.proposer) },
        ],
      }),
      h('p', { class: 'actions' }, link('/transactions', t('Transactions')), link('/events', t('Events')), link('/epochs', t('Epochs'))),
    ],
  };
}

function finder(context) {
  const field = h('input', { id: 'find', name: 'find', autocomplete: 'off', spellcheck: 'false', maxlength: '80', placeholder: t('height, transaction or address') });
  const said = h('p', { class: 'hint', id: 'find-said', role: 'status' });
  const find = (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (/^\d{1,15}$/.test(text)) context.go(at(['blocks', text]));
    else if (/^[0-9a-f]{64}$/i.test(text)) context.go(at(['tx', text.toLowerCase()]));
    else if (/^fwy1/i.test(text)) context.go(at(['hosts', text]));
    else said.textContent = t('A height is a number, a transaction has 64 hexadecimal digits, an address starts with fwy1.');
  };
  return h('form', { class: 'field', role: 'search', on: { submit: find } }, h('label', { for: 'find' }, t('Find')),
    h('div', { class: 'actions' }, h('div', { style: { flex: '1 1 16rem', 'max-width': '44rem' } }, field), h('button', { type: 'submit' }, t('Show'))), said);
}

export function one(context) {
  const { height } = context.params;
  const number = /^\d{1,15}$/.test(height) ? Number(height) : null;
  return {
    title: t('Block {height}', { height: words(height, 20) }),
    nodes: [
      h('p', { class: 'back actions' }, link('/blocks', t('All blocks')),
        number > 1 ? link(at(['blocks', number - 1]), t('The one before')) : null, number !== null ? link(at(['blocks', number + 1]), t('The next')) : null),
      head(t('Block {height}', { height: number === null ? words(height, 20) : whole(number) })),
      panel(context, {
        title: t('Header'), when: (told) => told.height === number,
        load: (signal) => get(at(['v1', 'blocks', height]), signal),
        render: (view) => [
          facts(
            [t('Identity'), h('code', {}, view.id)],
            [t('Time'), moment(view.header.time_ms)],
            [t('Proposer'), account(view.header.proposer)],
            [t('Signed by'), t('{n} validators in round {round}', { n: whole(view.certificate.signers.length), round: whole(view.certificate.round) })],
            [t('Size'), bytes(view.bytes)],
            [t('Parent'), digest(view.header.parent)],
            [t('State after the parent'), digest(view.header.state_root)],
            [t('Validators'), digest(view.header.validators)],
            view.header.beacon && [t('Beacon'), t('of block {height}', { height: whole(view.header.beacon.height) })],
          ),
          h('h3', {}, t('Transactions')),
          table({
            caption: t('In the order of the block'), rows: view.transactions.slice(0, 1000), none: [t('None in this block.')],
            columns: [
              { name: t('Transaction'), row: true, cell: (row) => tx(row.hash) },
              { name: t('What'), cell: (row) => h('code', {}, row.kind) },
              { name: t('From'), cell: (row) => account(row.from) },
              { name: t('Outcome'), cell: (row) => [tag(row.outcome), row.failure ? [' ', words(row.failure.message, 90)] : null] },
            ],
          }),
          h('h3', {}, t('The block’s own events')),
          caused(view.events.slice(0, 500)),
        ],
      }),
    ],
  };
}

export function transaction(context) {
  const { id } = context.params;
  return {
    title: t('Transaction {id}', { id: ends(id, 8, 4) }),
    nodes: [
      h('p', { class: 'back' }, link('/transactions', t('All transactions'))),
      head(t('Transaction')),
      panel(context, {
        title: ends(id, 16, 8), when: () => true, gap: 5_000,
        load: (signal) => get(at(['v1', 'transactions', id]), signal),
        render: (view) => [
          facts(
            [t('Hash'), h('code', {}, view.hash)],
            [t('State'), view.status === 'pending' ? [tag('pending'), ' ', t('it waits for a block')] : [tag(view.outcome), view.failure ? ` ${words(view.failure.message, 300)}` : '']],
            [t('Block'), view.height === null ? '–' : block(view.height), view.index === null ? '' : ` · ${t('place {n}', { n: whole(view.index) })}`],
            [t('Account'), account(view.body.account)],
            [t('Sequence'), whole(view.body.sequence)],
            [t('Valid until'), t('block {height}', { height: whole(view.body.expiry) })],
            [t('Size'), bytes(view.bytes)],
            [t('Signed by'), digest(view.body.signer)],
          ),
          h('h3', {}, t('What it asks')),
          value('message', view.body.message),
          h('h3', {}, t('What it caused')),
          caused(view.events.slice(0, 500)),
        ],
      }),
    ],
  };
}

function chosen(context, names) {
  return Object.fromEntries(names.map((name) => [name, context.query.get(name)]).filter(([, text]) => text !== null && text !== ''));
}

function filter(query, path) {
  const pairs = Object.entries(query);
  if (pairs.length === 0) return null;
  return h('p', {}, t('Shown:'), ' ', pairs.map(([name, text]) => [h('span', { class: 'tag' }, `${t(name)} ${words(text, 90)}`), ' ']), link(path, t('Show all')));
}

export function transactions(context) {
  const query = chosen(context, ['kind', 'sender', 'ok', 'from', 'to']);
  return {
    title: t('Transactions'),
    nodes: [
      h('p', { class: 'back' }, link('/blocks', t('Blocks'))),
      head(t('Transactions'), t('What accounts and hosts asked of the chain, and how it ended.')),
      filter(query, '/transactions'),
      listed(context, {
        title: t('Transactions'), name: 'transactions', query, caption: t('Transactions, newest first'), gap: 2_000, when: (told) => told.transactions > 0 && !query.to,
        none: [t('None.'), t('No transaction fits, as far back as this node’s history goes.')],
        columns: [
          { name: t('Transaction'), row: true, cell: (row) => tx(row.id) },
          { name: t('Block'), num: true, cell: (row) => block(row.height) },
          { name: t('What'), cell: (row) => h('code', {}, row.kind) },
          { name: t('From'), cell: (row) => account(row.sender) },
          { name: t('Outcome'), cell: (row) => (row.ok ? tag('done') : [tag('failed'), ' ', words(String(row.failure ?? '').replaceAll('_', ' '), 40)]) },
          { name: t('Events'), num: true, cell: (row) => whole(row.events) },
          { name: t('Size'), num: true, cell: (row) => bytes(row.bytes) },
        ],
      }),
    ],
  };
}

function happened(context) {
  const query = chosen(context, ['kinds', 'subject', 'lane', 'model', 'epoch', 'interval', 'tx', 'from', 'to']);
  return {
    title: t('Events'),
    nodes: [
      h('p', { class: 'back' }, link('/blocks', t('Blocks'))),
      head(t('Events'), t('What happened on the chain: by a transaction, or by a block itself when a time came.')),
      filter(query, '/events'),
      listed(context, {
        title: t('Events'), name: 'events', query, caption: t('Events, newest first'), gap: 2_000, when: () => !query.to,
        none: [t('None.'), t('No event fits, as far back as this node’s history goes.')],
        columns: [
          { name: t('Block'), row: true, cell: (row) => block(row.height) },
          { name: t('What'), cell: (row) => h('code', {}, row.kind) },
          { name: t('Whom'), cell: (row) => (row.subject ? account(row.subject) : row.lane !== null && row.lane !== undefined ? link(at(['lanes', row.lane]), t('lane {n}', { n: row.lane })) : '–') },
          { name: t('Transaction'), cell: (row) => (row.tx ? tx(row.tx) : link(at(['blocks', row.height]), t('the block’s own'))) },
          { name: t('Details'), wide: true, cell: (row) => brief(row.data) },
        ],
      }),
    ],
  };
}

/** An event's details in a line. */
function brief(data) {
  const pairs = Object.entries(data ?? {}).filter(([name, what]) => !['type', 'host', 'lane', 'account', 'member'].includes(name) && what !== null && typeof what !== 'object');
  return pairs.slice(0, 6).map(([name, what], index) => [index ? ' · ' : '', `${name.replaceAll('_', ' ')} `, value(name, what)]);
}

export { happened as events };
