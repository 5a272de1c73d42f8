// Now: the network in one look. Each figure leads to what it comes from.

import { node } from '../api.js';
import { chart } from '../chart.js';
import { fill, h, svg } from '../dom.js';
import { coins, percent, short, span, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { bones, downloads, empty, link, panel, rows, table, trace } from '../parts.js';

const EPOCHS_SHOWN = 120;

/** What each phase is for, in a few words. */
function purpose(phase) {
  return {
    sprint: t('hosts race on an integer transformer that nobody could prepare for'),
    commit_grace: t('last commitments come in'),
    challenge: t('who checks whom is drawn by lot'),
    verify: t('drawn leaves are computed again, cheats are convicted'),
    serve: t('all machines serve requests'),
    switch: t('proven compute becomes voting power'),
  }[phase] ?? '';
}

function figure(label, value, unit, note, to) {
  const inside = [
    h('span', { class: 'label' }, label),
    h('span', { class: 'value' }, value, unit ? h('span', { class: 'unit' }, unit) : null),
    note ? h('span', { class: 'note' }, note) : null,
  ];
  return to ? h('a', { class: 'figure', href: to }, inside) : h('div', { class: 'figure' }, inside);
}

/** Where a figure comes from; while it is nothing, where the earlier ones came from. */
function source(from, isNothing) {
  return trace(from && isNothing ? { ...from, from: undefined } : from);
}

function figures(now, live) {
  const { capacity, tokens, useful, checks, blocks, money } = now;
  return h('div', { class: 'figures', role: 'group', 'aria-label': t('Figures') },
    figure(t('Capacity'), capacity ? short(capacity.h100_equivalents) : '–', 'H100',
      capacity ? (capacity.proven
        ? t('weight {weight} of {hosts} hosts, proven in epoch {epoch}', { weight: whole(capacity.weight), hosts: whole(capacity.hosts), epoch: whole(capacity.epoch) })
        : t('not proven yet: no race has settled')) : t('nothing yet'), trace(capacity?.trace)),
    figure(t('Tokens served'), tokens ? short(tokens.per_second) : '–', t('a second'),
      tokens ? t('{tokens} in the last {time}, {total} in all', { tokens: whole(tokens.tokens), time: span(tokens.seconds), total: whole(tokens.total) }) : t('nothing yet'), source(tokens?.trace, tokens?.tokens === 0)),
    figure(t('Useful share of host time'), useful ? percent(useful.share) : '–', null,
      useful ? t('tokens of epoch {epoch} against what the machines proved', { epoch: whole(useful.epoch) }) : t('known after the first epoch with a race'), trace(useful?.trace)),
    figure(t('Checks'), checks ? whole(checks.made) : '–', checks ? t('{failed} failed', { failed: whole(checks.failed) }) : null,
      checks ? t('in epoch {epoch}; {made} in all, {failed} failed', { epoch: whole(checks.epoch), made: whole(checks.total_made), failed: whole(checks.total_failed) }) : t('nothing yet'), source(checks?.trace, checks?.made === 0)),
    figure(t('Blocks'), whole(live?.height ?? now.height), null,
      blocks ? t('{rate} a second', { rate: short(blocks.per_second) }) : null, '/blocks'),
    figure(t('Transactions'), blocks ? whole(blocks.transactions) : '–', null,
      blocks ? t('in the last {time}, {failed} failed', { time: span(blocks.seconds), failed: whole(blocks.failed) }) : null,
      blocks ? trace({ transactions: '', from: blocks.from, to: blocks.to }) : '/transactions'),
    figure(t('New money'), money ? coins(money.emission, 3) : '–', 'FWY',
      money ? t('made at the end of epoch {epoch}', { epoch: whole(money.epoch) }) : t('nothing yet'), trace(money?.trace)),
    figure(t('Fees settled'), money ? coins(money.fees_settled, 6) : '–', 'FWY',
      money ? t('in epoch {epoch}', { epoch: whole(money.epoch) }) : t('nothing yet'),
      money ? source({ kinds: ['lanes.settled'], from: money.trace?.from, to: money.trace?.to }, money.fees_settled === '0') : null));
}

/** The epoch as a ring: a part for each phase, filled as far as it is. */
function clock(now, live) {
  const { epoch, phase, phases, left_in_phase: leftPhase, left_in_epoch: leftEpoch, block_ms: pace } = {
    ...now.clock, ...(live && live.height >= now.height ? { epoch: live.epoch, phase: live.phase, left_in_phase: live.left_in_phase, left_in_epoch: live.left_in_epoch } : {}),
  };
  const all = phases.reduce((sum, part) => sum + part.blocks, 0) || 1;
  const done = Math.max(0, all - leftEpoch);
  const centre = 100;
  const radius = 82;
  const round = 2 * Math.PI * radius;
  const arcs = [];
  let start = 0;
  for (const part of phases) {
    const passed = Math.min(part.blocks, Math.max(0, done - start));
    const gap = 3;
    const arc = (blocks, name) => blocks <= 0 ? null : svg('circle', {
      cx: centre, cy: centre, r: radius, fill: 'none', 'stroke-width': 16, class: name,
      'stroke-dasharray': `${Math.max(1, (blocks / all) * round - gap)} ${round}`,
      'stroke-dashoffset': -((start / all) * round), transform: `rotate(-90 ${centre} ${centre})`,
    });
    arcs.push(arc(part.blocks, 'track'), arc(passed, part.phase === phase ? 'now' : 'past'));
    start += part.blocks;
  }
  const left = t('{n} blocks left, about {time}', { n: whole(leftEpoch), time: span((leftEpoch * pace) / 1000) });
  const name = t(phase.replaceAll('_', ' '));
  const picture = svg('svg', { viewBox: '0 0 200 200', role: 'img', 'aria-label': t('Epoch {epoch}: {phase}', { epoch, phase: name }) },
    arcs,
    svg('text', { x: centre, y: 84, 'text-anchor': 'middle', 'font-size': 13, class: 'soft' }, t('Epoch')),
    svg('text', { x: centre, y: 116, 'text-anchor': 'middle', 'font-size': 32, 'font-weight': 600 }, whole(epoch)),
    svg('text', { x: centre, y: 138, 'text-anchor': 'middle', 'font-size': 13, class: 'soft' }, `${whole(done)} / ${whole(all)}`));
  return h('div', { class: 'clock' }, picture, h('div', {},
    h('p', { class: 'soft' }, left),
    h('ol', { class: 'phases' }, phases.map((part) => h('li', { 'aria-current': part.phase === phase ? 'step' : null },
      h('span', {}, t(part.phase.replaceAll('_', ' ')), ' ', h('span', { class: 'why' }, purpose(part.phase))),
      h('span', { class: 'n' }, part.phase === phase ? t('{n} left', { n: whole(leftPhase) }) : whole(part.blocks)))))));
}

function perMillion(units) {
  return coins(units, 6);
}

function prices(now) {
  const own = now.prices ?? [];
  const others = now.reference_prices ?? [];
  const lines = [
    ...own.map((one) => ({ ...one, own: true })),
    ...others,
  ];
  return [
    table({
      caption: t('Price of a million tokens'),
      none: [t('No model is registered yet.'), t('freeway model register makes one known to the network.')],
      columns: [
        { name: t('Model'), row: true, cell: (row) => row.own ? h('a', { href: trace(row.trace) ?? '/prices' }, words(row.name, 40)) : words(row.name, 60) },
        { name: t('Input'), num: true, cell: (row) => (row.own ? perMillion(row.input) : words(row.input, 20)) },
        { name: t('Cached'), num: true, cell: (row) => (row.own ? perMillion(row.cached) : '–') },
        { name: t('Output'), num: true, cell: (row) => (row.own ? perMillion(row.output) : words(row.output, 20)) },
        { name: t('In'), cell: (row) => (row.own ? 'FWY' : t('as told')) },
        { name: t('Busy'), num: true, cell: (row) => (row.own && row.utilisation !== null && row.utilisation !== undefined ? percent(row.utilisation / 1000) : '–') },
        { name: t('Source'), cell: (row) => row.own ? [t('the chain, block'), ' ', link(`/blocks/${Number(row.height) || 0}`, whole(row.height))]
          : [/^https?:/i.test(row.source ?? '') ? h('a', { href: row.source, rel: 'noreferrer noopener', target: '_blank' }, words(row.source.replace(/^https?:\/\//i, ''), 32)) : words(row.source ?? '', 32), row.date ? `, ${words(row.date, 12)}` : ''] },
      ],
      rows: lines,
    }),
    others.length === 0 && own.length > 0
      ? h('p', { class: 'soft' }, t('No reference prices are configured. Name some in the node’s settings, with source and date, to compare.')) : null,
  ];
}

function partial(now) {
  if (now.history && !now.history.complete) {
    return h('p', { class: 'soft' }, t('This node has the chain from block {first} on; totals begin there.', { first: whole(now.history.first) }));
  }
  return null;
}

export function page(context) {
  const top = h('div', {}, bones());
  const ring = h('div', {}, bones());
  const cost = h('div', {}, bones());
  let drawn = '';
  const draw = () => {
    const { now, block } = node();
    if (!now) return;
    fill(top, figures(now, block), partial(now));
    fill(ring, clock(now, block));
    const text = JSON.stringify([now.prices, now.reference_prices]);
    if (text !== drawn) {
      drawn = text;
      fill(cost, prices(now));
    }
  };
  draw();
  context.on('now', draw);
  context.on('block', draw);

  const epochs = panel(context, {
    title: t('Capacity by epoch'),
    about: t('What hosts proved in each race, in H100-equivalents: how many H100s, sprinting as long as a race lasts, would prove the same.'),
    tools: [link('/epochs', t('All epochs')), downloads('epochs')],
    gap: 10_000,
    when: (value) => value.kinds?.['epochs.switched'] || value.kinds?.['sprint.race_settled'],
    load: (signal) => rows('epochs', { limit: EPOCHS_SHOWN }, signal),
    render: (answer) => {
      const known = answer.rows.filter((row) => row.h100_equivalents !== null).reverse();
      if (known.length < 2) return empty(t('Too early for a history.'), t('It begins with the second epoch.'));
      return chart({
        title: t('Capacity by epoch'), x: t('Epoch'), signal: context.signal, xs: known.map((row) => row.epoch),
        series: [{ name: t('H100-equivalents'), values: known.map((row) => row.h100_equivalents), colour: '--c1' }],
      });
    },
  });

  return {
    title: t('Now'),
    nodes: [
      h('h1', { class: 'hidden' }, t('The network now')),
      top,
      h('div', { class: 'pair' },
        h('section', { class: 'panel' }, h('header', {}, h('h2', {}, t('Epoch')), h('div', { class: 'tools' }, link('/sprint', t('Its race')))), ring),
        epochs),
      h('section', { class: 'panel' }, h('header', {}, h('h2', {}, t('What a million tokens cost')), h('div', { class: 'tools' }, link('/prices', t('All changes')), downloads('prices')),
        h('p', {}, t('On this network in FWY, by the chain’s own rule: prices rise where hosts are busy and fall where they idle. Others’ prices in their own currency, for comparison.'))), cost),
    ],
  };
}
