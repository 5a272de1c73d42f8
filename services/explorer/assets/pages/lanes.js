// Lanes: how inference is paid for.

import { at, maybe } from '../api.js';
import { h } from '../dom.js';
import { coins, money, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, digest, empty, facts, head, link, list as listed, panel, table, tag } from '../parts.js';

function moves(value) {
  return Object.keys(value.kinds ?? {}).some((kind) => kind.startsWith('lanes.'));
}

function model(root, name) {
  return root ? link(at(['models', root]), name ? words(name, 32) : `${root.slice(0, 8)}…`) : '–';
}

export function list(context) {
  const query = Object.fromEntries(['payer', 'model', 'state'].map((name) => [name, context.query.get(name)]).filter(([, text]) => text));
  return {
    title: t('Lanes'),
    nodes: [
      head(t('Lanes'), t('A payer puts money into a lane; hosts are drawn for it by lot. Then each request is paid by a signed voucher, without a transaction. Hosts settle what they were found to have earned.')),
      Object.keys(query).length ? h('p', {}, t('Shown:'), ' ', Object.values(query).map((text) => h('span', { class: 'tag' }, words(text, 70))), ' ', link('/lanes', t('Show all'))) : null,
      listed(context, {
        title: t('Lanes'), name: 'lanes', query, caption: t('Lanes, newest first'), when: moves, gap: 4_000,
        none: [t('No lane yet.'), t('A gateway that pays opens one by itself: freeway gateway --pay-from ACCOUNT')],
        columns: [
          { name: t('Lane'), row: true, cell: (row) => link(at(['lanes', row.lane]), whole(row.lane)) },
          { name: t('Model'), cell: (row) => model(row.model, row.name) },
          { name: t('State'), cell: (row) => tag(row.state) },
          { name: t('Payer'), cell: (row) => account(row.payer) },
          { name: t('Put in'), num: true, cell: (row) => money(row.escrow, 3) },
          { name: t('Hosts'), num: true, cell: (row) => whole(row.hosts?.length ?? 0) },
          { name: t('Fees settled'), num: true, cell: (row) => coins(row.fees_settled ?? '0', 9) },
          { name: t('Gone back'), num: true, cell: (row) => (row.refund === null || row.refund === undefined ? '–' : money(row.refund, 3)) },
          { name: t('Opened'), num: true, cell: (row) => block(row.opened) },
        ],
      }),
      h('p', { class: 'actions' }, link('/models', t('Models')), link('/prices', t('Prices')), link('/requests', t('Work that hosts committed to'))),
    ],
  };
}

export function one(context) {
  const { lane } = context.params;
  return {
    title: t('lane {n}', { n: words(lane, 16) }),
    nodes: [
      h('p', { class: 'back' }, link('/lanes', t('All lanes'))),
      head(t('Lane {n}', { n: words(lane, 16) })),
      panel(context, {
        title: t('On the chain now'), when: moves, gap: 3_000,
        load: (signal) => maybe(at(['v1', 'lanes', lane]), signal),
        render: (view) => (view ? [
          facts(
            [t('State'), tag(view.state)],
            [t('Payer'), account(view.payer)],
            [t('Model'), model(view.model), ' ', tag(view.tier, '')],
            [t('Prices of a million tokens'), t('{input} FWY in, {cached} FWY cached, {output} FWY out', { input: coins(view.prices.input), cached: coins(view.prices.cached), output: coins(view.prices.output) })],
            [t('Put in'), money(view.escrow)],
            [t('Left'), money(view.left, 9)],
            [t('Opened'), block(view.opened)],
            [t('Expires'), t('block {height}', { height: whole(view.expires) })],
            [t('Only in'), [...view.constraints.regions, ...view.constraints.operators].map((one) => words(one, 40)).join(', ') || t('any region, any operator')],
          ),
          table({
            caption: t('Its hosts, in the order drawn'), rows: view.shares, none: [t('Its hosts are not drawn yet.')],
            columns: [
              { name: t('Host'), row: true, cell: (row) => account(row.host, row.operator) },
              { name: t('Part'), num: true, cell: (row) => money(row.deposit, 3) },
              { name: t('Settled'), num: true, cell: (row) => money(row.paid, 9) },
              { name: t('Drawn'), num: true, cell: (row) => block(row.drawn) },
              { name: t('At arm’s length'), cell: (row) => (row.arms_length ? t('yes') : t('no')) },
              { name: t('Forfeited'), cell: (row) => (row.forfeited ? tag('forfeited') : t('no')) },
              { name: t('Key'), cell: (row) => digest(row.key) },
            ],
          }),
        ] : empty(t('The chain does not keep this lane.'), t('It was never opened, or it is over. Below is what the history knows.'))),
      }),
      listed(context, {
        title: t('What happened in it'), name: 'events', query: { lane }, caption: t('Events, newest first'), when: moves, gap: 4_000,
        none: [t('Nothing in the history that this node keeps.')],
        columns: [
          { name: t('Block'), row: true, cell: (row) => block(row.height) },
          { name: t('What'), cell: (row) => h('code', {}, row.kind) },
          { name: t('Host'), cell: (row) => (row.subject ? account(row.subject) : '–') },
          { name: t('Fees'), num: true, cell: (row) => (row.data?.fees ? money(row.data.fees, 9) : '–') },
          { name: t('Transaction'), cell: (row) => (row.tx ? link(at(['tx', row.tx]), `${row.tx.slice(0, 8)}…`) : t('the block’s own')) },
        ],
      }),
    ],
  };
}
