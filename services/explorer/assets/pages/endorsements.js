// Endorsements: people and organisations who put money behind an answer, and how that went.

import { at, get, maybe } from '../api.js';
import { h } from '../dom.js';
import { money, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, digest, empty, facts, head, link, list as listed, panel, rows, table, tag, transaction } from '../parts.js';

function moves(value) {
  return Object.keys(value.kinds ?? {}).some((kind) => kind.startsWith('endorsements.'));
}

const columns = () => [
  { name: t('Number'), row: true, cell: (row) => link(at(['endorsements', row.endorsement]), whole(row.endorsement)) },
  { name: t('Who answers'), cell: (row) => account(row.endorser) },
  { name: t('State'), cell: (row) => tag(row.state) },
  { name: t('Bond'), num: true, cell: (row) => money(row.bond) },
  { name: t('Awarded'), num: true, cell: (row) => money(row.awarded ?? '0') },
  { name: t('Left'), num: true, cell: (row) => money(row.left ?? '0') },
  { name: t('Arbiter'), cell: (row) => account(row.arbiter) },
  { name: t('Answers until'), num: true, cell: (row) => t('block {height}', { height: whole(row.until) }) },
  { name: t('Receipt'), cell: (row) => digest(row.receipt) },
  { name: t('Made by'), cell: (row) => transaction(row.tx) },
];

export function page(context) {
  const query = Object.fromEntries(['endorser', 'receipt', 'state'].map((name) => [name, context.query.get(name)]).filter(([, text]) => text));
  const record = query.endorser ? panel(context, {
    title: t('Record'), when: moves, load: (signal) => get(at(['v1', 'accounts', query.endorser, 'endorsements'], { limit: 1 }), signal),
    render: ({ record: all }) => facts(
      [t('Account'), account(query.endorser)],
      [t('Standing'), t('{n}, with {amount} at stake', { n: whole(all.active), amount: money(all.at_stake) })],
      [t('Kept'), t('{n}, of {amount}', { n: whole(all.kept), amount: money(all.kept_amount) })],
      [t('Lost'), t('{n}, {amount} awarded', { n: whole(all.lost), amount: money(all.lost_amount) })],
    ),
  }) : panel(context, {
    title: t('Who answers, and how that went'), when: moves, gap: 8_000,
    load: async (signal) => {
      const seen = (await rows('endorsements', { limit: 500 }, signal)).rows;
      const people = [...new Set(seen.map((row) => row.endorser))].slice(0, 24);
      return Promise.all(people.map(async (address) => ({ address, ...(await get(at(['v1', 'accounts', address, 'endorsements'], { limit: 1 }), signal)).record })));
    },
    render: (people) => table({
      caption: t('Records of those who endorsed lately'), rows: people,
      none: [t('Nobody has endorsed an answer yet.'), t('Anybody can put money behind one: freeway endorse RECEIPT')],
      columns: [
        { name: t('Who'), row: true, cell: (row) => link(at(['endorsements'], { endorser: row.address }), words(`${row.address.slice(0, 9)}…${row.address.slice(-4)}`, 20)) },
        { name: t('Standing'), num: true, cell: (row) => whole(row.active) },
        { name: t('At stake'), num: true, cell: (row) => money(row.at_stake) },
        { name: t('Kept'), num: true, cell: (row) => whole(row.kept) },
        { name: t('Lost'), num: true, cell: (row) => whole(row.lost) },
        { name: t('Awarded'), num: true, cell: (row) => money(row.lost_amount) },
      ],
    }),
  });
  return {
    title: t('Endorsements'),
    nodes: [
      head(t('Endorsements'), t('A check proves that an answer was computed as it was asked for, not that it is good. Who endorses one puts a bond behind it, which an arbiter can award to whom it harmed.')),
      Object.keys(query).length ? h('p', {}, link('/endorsements', t('Show all'))) : null,
      record,
      listed(context, { title: t('Endorsements'), name: 'endorsements', query, caption: t('Endorsements, newest first'), columns: columns(), when: moves, none: [t('None.')] }),
    ],
  };
}

export function one(context) {
  const { id } = context.params;
  return {
    title: t('Endorsement {id}', { id: words(id, 20) }),
    nodes: [
      h('p', { class: 'back' }, link('/endorsements', t('All endorsements'))),
      head(t('Endorsement {id}', { id: words(id, 20) })),
      panel(context, {
        title: t('On the chain now'), when: moves, load: (signal) => maybe(at(['v1', 'endorsements', id]), signal),
        render: (view) => (view ? facts(
          [t('Who answers'), account(view.endorser)], [t('Receipt'), h('code', {}, view.receipt)], [t('Statement'), h('code', {}, view.statement)],
          [t('Bond'), money(view.bond, 9)], [t('Awarded'), money(view.awarded, 9)], [t('Left'), money(view.left, 9)], [t('Arbiter'), account(view.arbiter)],
          [t('Made'), block(view.made)], [t('Answers until'), t('block {height}', { height: whole(view.until) })], [t('Decided by'), t('block {height}', { height: whole(view.decided_by) })],
        ) : empty(t('The chain does not keep this endorsement.'), t('It was never made, or its bond is gone.'))),
      }),
    ],
  };
}
