// Epochs: the history of the network, one line each.

import { at } from '../api.js';
import { h } from '../dom.js';
import { coins, moment, percent, short, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, downloads, empty, facts, head, link, list as listed, panel, rows } from '../parts.js';

function moves(value) {
  return value.kinds?.['epochs.switched'] || value.kinds?.['epochs.phase_started'];
}

export function list(context) {
  return {
    title: t('Epochs'),
    nodes: [
      h('p', { class: 'back' }, link('/', t('Now'))),
      head(t('Epochs'), t('In each epoch hosts race, are checked, and serve; at its end proven compute becomes voting power and new money is made.')),
      listed(context, {
        title: t('Epochs'), name: 'epochs', caption: t('Epochs, newest first'), when: moves, gap: 10_000,
        columns: [
          { name: t('Epoch'), row: true, cell: (row) => link(at(['epochs', row.epoch]), whole(row.epoch)) },
          { name: t('Begun'), cell: (row) => moment(row.time_ms) },
          { name: t('H100-equivalents'), num: true, cell: (row) => short(row.h100_equivalents) },
          { name: t('Hosts'), num: true, cell: (row) => whole(row.hosts) },
          { name: t('Validators'), num: true, cell: (row) => whole(row.validators) },
          { name: t('Checks made'), num: true, cell: (row) => whole(row.checks_made) },
          { name: t('Failed'), num: true, cell: (row) => whole(row.checks_failed) },
          { name: t('Tokens'), num: true, cell: (row) => whole(row.tokens) },
          { name: t('Fees settled'), num: true, cell: (row) => coins(row.fees_settled ?? '0', 6) },
          { name: t('New money'), num: true, cell: (row) => coins(row.emission ?? '0', 3) },
          { name: t('Useful share'), num: true, cell: (row) => percent(row.useful_share) },
          { name: t('Transactions'), num: true, cell: (row) => whole(row.transactions) },
        ],
      }),
    ],
  };
}

export function one(context) {
  const { epoch } = context.params;
  return {
    title: t('Epoch {epoch}', { epoch: words(epoch, 16) }),
    nodes: [
      h('p', { class: 'back' }, link('/epochs', t('All epochs'))),
      head(t('Epoch {epoch}', { epoch: words(epoch, 16) })),
      panel(context, {
        title: t('What it brought'), when: moves, gap: 5_000,
        load: (signal) => rows('epochs', { from: epoch, to: epoch, limit: 1 }, signal),
        render: ({ rows: [row] }) => (row ? [
          row.complete === false ? h('p', { class: 'soft' }, t('This node saw only a part of it; its sums are of that part.')) : null,
          facts(
            [t('Blocks'), block(row.start), ' – ', row.end === null ? t('it runs') : block(row.end)],
            [t('H100-equivalents'), short(row.h100_equivalents)],
            [t('Weight'), whole(row.weight)],
            [t('Hosts'), whole(row.hosts)],
            [t('Validators'), whole(row.validators)],
            [t('Race'), t('{raced} hosts raced, {proven} proved weight, {nonces} nonces', { raced: whole(row.raced), proven: whole(row.proven), nonces: whole(row.nonces) })],
            [t('Checks'), t('{made} made, {failed} failed', { made: whole(row.checks_made), failed: whole(row.checks_failed) })],
            [t('Tokens'), whole(row.tokens)],
            [t('Fees committed'), `${coins(row.fees_committed ?? '0', 9)} FWY`],
            [t('Fees settled'), `${coins(row.fees_settled ?? '0', 9)} FWY`],
            [t('New money'), `${coins(row.emission ?? '0', 9)} FWY`],
            [t('Useful share of host time'), percent(row.useful_share)],
          ),
          h('p', { class: 'actions' },
            link(at(['transactions'], { from: row.start, to: row.end }), t('Its transactions')),
            link(at(['events'], { from: row.start, to: row.end }), t('Its events')),
            link(at(['blocks'], { from: row.start, to: row.end }), t('Its blocks'))),
        ] : empty(t('There is no such epoch in this node’s history.'))),
      }),
      listed(context, {
        title: t('Hosts in it'), name: 'host-epochs', query: { epoch }, caption: t('What each host proved and earned'), when: moves, gap: 10_000,
        tools: downloads('host-epochs', { epoch }),
        columns: [
          { name: t('Host'), row: true, cell: (row) => account(row.host) },
          { name: t('Weight'), num: true, cell: (row) => whole(row.weight) },
          { name: t('Power'), num: true, cell: (row) => short(row.power) },
          { name: t('Reputation'), num: true, cell: (row) => whole(row.reputation) },
          { name: t('Nonces'), num: true, cell: (row) => whole(row.nonces) },
          { name: t('Tokens'), num: true, cell: (row) => whole(row.tokens) },
          { name: t('Granted'), num: true, cell: (row) => coins(row.granted ?? '0', 4) },
          { name: t('Fees paid'), num: true, cell: (row) => coins(row.fees_paid ?? '0', 9) },
          { name: t('Checks made'), num: true, cell: (row) => whole(row.checks_made) },
          { name: t('Found against it'), num: true, cell: (row) => whole(row.checks_failed) },
        ],
      }),
    ],
  };
}
