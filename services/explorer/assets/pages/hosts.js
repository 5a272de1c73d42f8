// Hosts: who lends machines, what they proved, what they earn.

import { at, get, maybe } from '../api.js';
import { chart } from '../chart.js';
import { h } from '../dom.js';
import { coins, ends, money, percent, short, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, downloads, empty, facts, head, link, list as listed, panel, rows, table, tag } from '../parts.js';

const MOST = 500;

function status(row) {
  return [tag(row.status), row.silent ? [' ', tag('silent')] : null];
}

export function list(context) {
  const load = async (signal) => {
    const [hosts, weights] = await Promise.all([
      get(at(['v1', 'hosts'], { limit: MOST, after: context.query.get('after') }), signal),
      get(at(['v1', 'weights'], { limit: MOST, after: context.query.get('after') }), signal),
    ]);
    const by = new Map(weights.weights.map((one) => [one.host, one]));
    return {
      rows: hosts.hosts.map((host) => ({ ...host, proven: by.get(host.address) })).sort((a, b) => b.power - a.power || b.weight - a.weight),
      next: hosts.next, proven: weights.proven,
    };
  };
  const render = ({ rows: all, next, proven }) => [
    proven ? null : h('p', { class: 'soft' }, t('No race has settled yet: weights are those that genesis gave.')),
    table({
      caption: t('Hosts by voting power'),
      none: [t('No host yet.'), t('Anybody may become one: freeway host register')],
      columns: [
        { name: t('Operator'), row: true, cell: (row) => h('a', { href: at(['hosts', row.address]), title: row.operator }, words(row.operator, 28) || ends(row.address)) },
        { name: t('Region'), cell: (row) => words(row.region, 16) || '–' },
        { name: t('State'), cell: status },
        { name: t('Weight'), num: true, cell: (row) => whole(row.weight) },
        { name: t('H100-equivalents'), num: true, cell: (row) => short(row.h100_equivalents) },
        { name: t('Power'), num: true, cell: (row) => percent(row.proven?.power_share) },
        { name: t('Reputation'), num: true, cell: (row) => `${whole(row.reputation)} / 30` },
        { name: t('Collateral'), num: true, cell: (row) => money(row.collateral, 2) },
        { name: t('Address'), cell: (row) => account(row.address) },
      ],
      rows: all,
    }),
    next ? h('p', {}, link(at(['hosts'], { after: next }), t('Next hosts'))) : null,
  ];
  return {
    title: t('Hosts'),
    nodes: [
      head(t('Hosts'), t('A host’s weight is the compute that it proved in the latest race. Power to sign blocks follows from the last two races, reputation and collateral. Names and regions are what hosts say of themselves.')),
      panel(context, {
        title: t('All hosts'), load, render, gap: 5_000, tools: downloads('host-epochs'),
        when: (value) => Object.keys(value.kinds ?? {}).some((kind) => /^(hosts|weights)\.|switched/.test(kind)),
      }),
    ],
  };
}

function earnings(view) {
  return [
    facts(
      [t('Last epoch'), t('epoch {epoch}: {capacity} FWY for compute, {served} FWY for serving, {verdicts} FWY for checks', {
        epoch: whole(view.last.epoch), capacity: coins(view.last.capacity, 4), served: coins(view.last.served, 6), verdicts: coins(view.last.verdicts, 6),
      })],
      [t('Vesting'), money(view.vesting)],
      [t('Released, ever'), money(view.released)],
      [t('For checks, ever'), money(view.verdicts, 9)],
      [t('Fees being checked'), t('{open} of at most {limit} FWY', { open: coins(view.fees.open, 9), limit: coins(view.fees.open_limit, 4) })],
      [t('Fees matured, ever'), money(view.fees.matured, 9)],
      [t('Fees settled, ever'), money(view.fees.settled, 9)],
      [t('Checks of work this epoch'), t('{done} of {owed} done', { done: whole(view.duties.done), owed: whole(view.duties.owed) })],
      [t('Last conviction'), view.fees.convicted === null ? t('none') : block(view.fees.convicted)],
    ),
  ];
}

export function one(context) {
  const { address } = context.params;
  const identity = panel(context, {
    title: t('Account'),
    when: (value) => Object.keys(value.kinds ?? {}).some((kind) => /^(hosts|weights|accounts|rewards)\./.test(kind)),
    load: (signal) => get(at(['v1', 'accounts', address]), signal),
    render: (view) => {
      const host = view.host;
      return facts(
        [t('Address'), h('code', {}, view.address)],
        host && [t('Operator'), words(host.operator, 128) || '–'],
        host && [t('Region'), words(host.region, 128) || '–'],
        host && [t('Machine'), words(host.hardware, 256) || t('not told')],
        host && [t('State'), status(host)],
        host && [t('Weight'), t('{weight} ({h100} H100-equivalents)', { weight: whole(host.weight), h100: short(host.h100_equivalents) })],
        host && [t('Reputation'), `${whole(host.reputation)} / 30`],
        host && [t('Collateral'), money(host.collateral), host.unbonding.length ? ` ${t('and {amount} on its way back', { amount: money(host.unbonding.reduce((sum, one) => sum + BigInt(one.amount), 0n)) })}` : ''],
        host && [t('Reached at'), host.endpoints.length ? host.endpoints.map((one) => h('div', {}, h('code', {}, words(one, 128)))) : t('nowhere')],
        host && [t('Host since'), t('epoch {epoch}', { epoch: whole(host.since_epoch) })],
        [t('Balance'), money(view.balance, 9)],
        [t('Sequence'), whole(view.committed_sequence)],
        [t('Delegates'), view.delegates.length ? view.delegates.map((one) => h('div', {}, account(one.address), ' ', one.scopes.join(', '))) : t('none')],
        !view.exists && [t('State'), t('This account was never used.')],
      );
    },
  });
  const models = panel(context, {
    title: t('Models that it serves'), gap: 30_000, when: (value) => Boolean(value.kinds?.['models.serving']),
    load: async (signal) => {
      const all = (await get('/v1/models?limit=100', signal)).models.slice(0, 16);
      const details = await Promise.all(all.map((model) => get(at(['v1', 'models', model.root], { limit: 500 }), signal)));
      return details.filter((detail) => detail.hosts.some((one) => one.host === address));
    },
    render: (models) => models.length ? h('ul', {}, models.map((model) => h('li', {}, link(at(['models', model.root]), words(model.name, 40)), ' ', tag(model.tier, ''), ' ',
      t('since block {height}', { height: whole(model.hosts.find((one) => one.host === address)?.since) })))) : empty(t('None.')),
  });
  const earned = panel(context, {
    title: t('Earnings'), when: (value) => Object.keys(value.kinds ?? {}).some((kind) => /^(rewards|lanes|work)\./.test(kind)), gap: 5_000,
    load: async (signal) => ((await get(at(['v1', 'accounts', address]), signal)).host ? maybe(at(['v1', 'hosts', address, 'earnings']), signal) : null),
    render: (view) => (view ? earnings(view) : empty(t('This account is no host.'), t('Only hosts earn fees and new money.'))),
  });
  const history = panel(context, {
    title: t('History by epoch'), tools: downloads('host-epochs', { host: address }), gap: 10_000,
    when: (value) => value.kinds?.['epochs.switched'] || value.kinds?.['rewards.emitted'],
    load: (signal) => rows(`hosts/${address}/history`, { limit: 120 }, signal),
    render: (answer) => {
      const known = [...answer.rows].reverse().filter((row) => row.weight !== null);
      return [
        known.length > 1 ? chart({ title: t('Weight by epoch'), x: t('Epoch'), signal: context.signal, xs: known.map((row) => row.epoch), bars: false,
          series: [{ name: t('Weight'), values: known.map((row) => row.weight), colour: '--c1' }] }) : null,
        table({
          caption: t('What it proved, signed, served and earned'), rows: answer.rows.slice(0, 60),
          none: [t('No history of this account as a host.')],
          columns: [
            { name: t('Epoch'), row: true, cell: (row) => link(at(['epochs', row.epoch]), whole(row.epoch)) },
            { name: t('Weight'), num: true, cell: (row) => whole(row.weight) },
            { name: t('Power'), num: true, cell: (row) => short(row.power) },
            { name: t('Reputation'), num: true, cell: (row) => whole(row.reputation) },
            { name: t('Granted'), num: true, cell: (row) => coins(row.granted ?? '0', 4) },
            { name: t('For checks'), num: true, cell: (row) => coins(row.verdict_reward ?? '0', 6) },
            { name: t('Fees paid'), num: true, cell: (row) => coins(row.fees_paid ?? '0', 9) },
            { name: t('Tokens'), num: true, cell: (row) => whole(row.tokens) },
            { name: t('Checks made'), num: true, cell: (row) => whole(row.checks_made) },
            { name: t('Found against it'), num: true, cell: (row) => whole(row.checks_failed) },
          ],
        }),
      ];
    },
  });
  return {
    title: ends(address),
    nodes: [
      h('p', { class: 'back' }, link('/hosts', t('All hosts'))),
      head(h('span', { class: 'mono' }, ends(address, 14, 6))),
      h('div', { class: 'pair' }, identity, h('div', {}, earned)),
      models, history,
      listed(context, {
        title: t('What happened to it'), name: 'events', query: { subject: address }, caption: t('Events, newest first'), gap: 5_000, when: () => true,
        none: [t('Nothing in the history that this node keeps.')],
        columns: [
          { name: t('Block'), row: true, cell: (row) => block(row.height) },
          { name: t('What'), cell: (row) => h('code', {}, row.kind) },
          { name: t('Transaction'), cell: (row) => (row.tx ? h('a', { href: at(['tx', row.tx]), class: 'mono', title: row.tx }, ends(row.tx, 8, 4)) : t('the block’s own')) },
        ],
      }),
      h('p', { class: 'actions' }, link(at(['transactions'], { sender: address }), t('Its transactions')), link(at(['endorsements'], { endorser: address }), t('Its endorsements'))),
    ],
  };
}
