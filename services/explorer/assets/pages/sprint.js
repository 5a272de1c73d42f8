// Sprint: the race of the epoch as it runs.

import { at, get } from '../api.js';
import { h } from '../dom.js';
import { money, short, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, digest, downloads, empty, facts, head, link, panel, table, tag } from '../parts.js';

const MOST = 200;

/** The stages in their order, each with the field of the height that ends it. */
const STAGES = [
  ['waiting_for_seed', 'seed_height'], ['racing', 'deadline'], ['waiting_for_challenge', 'challenged'], ['verdicts', 'verdicts_until'],
  ['waiting_for_draw', 'drawn'], ['revealing', 'reveals_until'], ['judging', 'settles'], ['settled', 'ended'],
];

function stageName(stage) {
  return {
    none: t('No race yet'), waiting_for_seed: t('Waiting for the seed'), racing: t('Racing'), waiting_for_challenge: t('Drawing committees'),
    verdicts: t('Verdicts'), waiting_for_draw: t('Drawing what is revealed'), revealing: t('Revealing'), judging: t('Judging'),
    settled: t('Settled'), abandoned: t('Abandoned'),
  }[stage] ?? words(stage, 30);
}

function moves(value) {
  return Object.keys(value.kinds ?? {}).some((kind) => kind.startsWith('sprint.') || kind === 'epochs.phase_started');
}

function course(view) {
  const now = STAGES.findIndex(([stage]) => stage === view.stage);
  if (view.stage === 'none') return empty(t('No race yet.'), t('The first race runs in the second epoch; until then weights are those that genesis gave.'));
  if (view.stage === 'abandoned') {
    return empty(t('The race of epoch {epoch} was abandoned.', { epoch: whole(view.epoch) }), t('All weights stay. Reason: {reason}.', { reason: t(String(view.reason ?? '').replaceAll('_', ' ')) }));
  }
  return h('ol', { class: 'steps eight' }, STAGES.map(([stage, field], index) => h('li', { class: index < now ? 'done' : null, 'aria-current': index === now ? 'step' : null },
    h('strong', {}, stageName(stage)),
    h('span', {}, view[field] === null || view[field] === undefined ? t('not known yet') : index < now || stage === 'settled' ? t('block {height}', { height: whole(view[field]) }) : t('until block {height}', { height: whole(view[field]) })))));
}

function bars({ view, hosts, results, names }) {
  const running = hosts.hosts.length > 0;
  const rows = running
    ? hosts.hosts.map((host) => ({
      who: host.host, name: host.operator, value: host.nonces, void: host.void,
      more: [
        t('devices: {n}', { n: whole(host.devices.length) }),
        host.committee.length ? t('{given} of {all} verdicts', { given: whole(host.committee.filter((one) => one.given).length), all: whole(host.committee.length) }) : null,
        host.reveals_due ? t('{done} of {due} leaves revealed', { done: whole(host.reveals_done), due: whole(host.reveals_due) }) : null,
        host.demands.length ? t('{n} leaves demanded', { n: whole(host.demands.length) }) : null,
        host.trials.length ? t('{n} leaves on trial', { n: whole(host.trials.length) }) : null,
      ],
    }))
    : results.results.map((one) => ({
      who: one.host, name: names.get(one.host), value: one.count, void: one.void,
      more: [
        t('weight {weight}', { weight: whole(one.weight) }),
        t('confirmed by {n} of {all}', { n: whole(one.confirmed), all: whole(one.committee) }),
        t('checked {n} of {all} others', { n: whole(one.done), all: whole(one.owed) }),
      ],
    }));
  rows.sort((a, b) => b.value - a.value);
  const most = Math.max(1, ...rows.map((row) => row.value));
  if (rows.length === 0) {
    return empty(view.stage === 'racing' ? t('Hosts are racing; nobody has committed yet.') : t('Nobody has committed.'), t('A host’s bar appears with its commitment on the chain.'));
  }
  return [
    running ? null : h('p', { class: 'soft' }, t('Results of epoch {epoch}, settled in block {height}.', { epoch: whole(results.race?.epoch), height: whole(results.race?.height) })),
    h('div', { class: 'bars', role: 'list', 'aria-label': t('Nonces by host') }, rows.slice(0, 60).map((row) => h('div', { class: 'row', role: 'listitem' },
      h('div', { class: 'who' }, account(row.who, row.name)),
      h('div', { class: 'track', 'aria-hidden': 'true' }, h('div', { class: `fill${row.void ? ' void' : ''}`, style: { width: `${(100 * row.value) / most}%` } })),
      h('div', { class: 'much' }, t('{n} nonces', { n: whole(row.value) })),
      h('div', { class: 'more' }, row.void ? tag(row.void, 'bad') : null, row.more.filter(Boolean).map((one) => h('span', {}, one)))))),
    rows.length > 60 ? h('p', { class: 'soft' }, t('and {n} more', { n: whole(rows.length - 60) })) : null,
  ];
}

function verdicts(hosts, names) {
  return table({
    caption: t('Who checks whom'), rows: hosts.hosts.filter((host) => host.committee.length).slice(0, 200),
    none: [t('No committee now.'), t('Committees are drawn after the deadline and stand here until the race settles.')],
    columns: [
      { name: t('Host'), row: true, cell: (row) => account(row.host, row.operator) },
      { name: t('Checked by'), wide: true, cell: (row) => h('div', { class: 'actions' }, row.committee.map((one) => h('span', {}, account(one.member, names.get(one.member)), ' ',
        one.given ? tag('given', 'good') : tag('owed', 'warn')))) },
    ],
  });
}

export function page(context) {
  const load = async (signal) => {
    const [view, hosts, results, all] = await Promise.all([
      get('/v1/sprint', signal), get(at(['v1', 'sprint', 'hosts'], { limit: MOST }), signal), get(at(['v1', 'sprint', 'results'], { limit: MOST }), signal),
      get(at(['v1', 'hosts'], { limit: MOST }), signal),
    ]);
    // The height alone would draw all again with every block.
    delete view.height; delete hosts.height; delete results.height;
    return { view, hosts, results, names: [...all.hosts.map((host) => [host.address, host.operator])] };
  };
  // One answer for all parts of the page.
  let asked = null;
  const shared = (signal) => {
    asked ??= load(signal).finally(() => setTimeout(() => { asked = null; }, 300));
    return asked;
  };
  const part = (title, render, more = {}) => panel(context, { title, load: shared, when: moves, gap: 1_000, render: (data) => render({ ...data, names: new Map(data.names) }), ...more });
  return {
    title: t('Sprint'),
    nodes: [
      head(t('Sprint'), t('In each epoch hosts race on an integer transformer whose weights nobody could know before. Each commits to its nonces; others, drawn by lot, compute some of them again. What stands becomes weight.')),
      part(t('Course'), ({ view }) => [course(view), view.epoch === null ? null : h('p', { class: 'soft' },
        t('Epoch {epoch}: {stage}. {commitments} hosts committed {nonces} nonces; {given} of {owed} verdicts.', {
          epoch: whole(view.epoch), stage: stageName(view.stage), commitments: whole(view.commitments), nonces: whole(view.nonces), given: whole(view.verdicts_given), owed: whole(view.verdicts_owed),
        }))]),
      part(t('Race'), bars, { tools: downloads('host-epochs') }),
      h('div', { class: 'pair' },
        part(t('Committees'), ({ hosts, names }) => verdicts(hosts, names)),
        part(t('Rules'), ({ view }) => facts(
          [t('Seed'), view.seed ? [digest(view.seed), ' ', t('of block {height}', { height: whole(view.seed_height) })] : t('not known yet')],
          [t('Begun'), view.started === null ? '–' : block(view.started)],
          [t('Shape'), words(view.rules.shape, 40)],
          [t('Multiply-adds of a nonce'), whole(view.rules.macs_per_nonce)],
          [t('Members that check a host'), whole(view.rules.committee)],
          [t('Leaves that each computes again'), whole(view.rules.leaves)],
          [t('Of these revealed'), whole(view.rules.revealed)],
          [t('A wrong leaf costs'), t('{share} of what is at stake', { share: `${short(view.rules.conviction_thousandths / 10)} %` })],
          [t('An accusation puts up'), money(view.rules.accusation_bond)],
        ))),
      part(t('Where it stands on the chain'), ({ view }) => (view.epoch === null ? empty(t('No race yet.')) : h('p', { class: 'actions' },
        link(at(['transactions'], { kind: 'sprint.commit', from: view.started ?? '', to: view.ended ?? '' }), t('Commitments')),
        link(at(['events'], { kinds: 'sprint.verdicts_given,sprint.revealed,sprint.demanded,sprint.answered', from: view.started ?? '', to: view.ended ?? '' }), t('Verdicts and leaves')),
        link(at(['events'], { kinds: 'sprint.trial_opened,sprint.convicted,sprint.acquitted,sprint.voided,sprint.false_verdict' }), t('Trials, convictions')),
        link(at(['events'], { kinds: 'sprint.proven,weights.changed', from: view.started ?? '' }), t('Weights')),
        link('/epochs', t('All epochs'))))),
    ],
  };
}
