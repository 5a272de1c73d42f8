// Models and what they cost.

import { at, get } from '../api.js';
import { chart } from '../chart.js';
import { h } from '../dom.js';
import { coins, percent, short, whole, words } from '../format.js';
import { t } from '../i18n.js';
import { account, block, empty, facts, head, link, list as listed, panel, rows, table, tag } from '../parts.js';

function moves(value) {
  return Object.keys(value.kinds ?? {}).some((kind) => /^(models|pricing)\./.test(kind));
}

function tier(model) {
  return model.tier === 'exact' ? t('exact: the same bits on every machine, any answer can be computed again') : t('statistical: no bit can be computed again, so likelihoods are checked');
}

export function list(context) {
  return {
    title: t('Models'),
    nodes: [
      h('p', { class: 'back' }, link('/lanes', t('Lanes'))),
      head(t('Models'), t('What hosts serve. A model is named by the root of its content; its name is what its registrar calls it.')),
      panel(context, {
        title: t('Models'), when: moves, gap: 10_000, load: (signal) => get('/v1/models?limit=100', signal),
        render: (view) => table({
          caption: t('Models'), rows: view.models, none: [t('No model is registered yet.')],
          columns: [
            { name: t('Name'), row: true, cell: (row) => link(at(['models', row.root]), words(row.name, 40)) },
            { name: t('Tier'), cell: (row) => tag(row.tier, '') },
            { name: t('Context'), num: true, cell: (row) => whole(row.context) },
            { name: t('Input'), num: true, cell: (row) => coins(row.prices.input, 6) },
            { name: t('Cached'), num: true, cell: (row) => coins(row.prices.cached, 6) },
            { name: t('Output'), num: true, cell: (row) => coins(row.prices.output, 6) },
            { name: t('Busy'), num: true, cell: (row) => (row.utilisation === null ? '–' : percent(row.utilisation / 1000)) },
            { name: t('Lanes'), num: true, cell: (row) => link(at(['lanes'], { model: row.root }), whole(row.lanes)) },
          ],
        }),
      }),
    ],
  };
}

function priced(context, query) {
  return [
    panel(context, {
      title: t('Price of output by block'), when: moves, gap: 10_000, load: (signal) => rows('prices', { ...query, limit: 200 }, signal),
      render: (answer) => {
        const first = answer.rows[0]?.model;
        const known = answer.rows.filter((row) => row.model === first).reverse();
        if (known.length < 2) return empty(t('No change yet.'), t('Prices move by small steps at the end of each interval of work.'));
        return chart({
          title: t('Price of a million tokens of {model}, in FWY', { model: words(known[0].name ?? '', 40) }), x: t('Block'), signal: context.signal, xs: known.map((row) => row.height),
          value: (units) => short(units),
          series: [{ name: t('Output'), values: known.map((row) => Number(row.output) / 1e9), colour: '--c1' }, { name: t('Input'), values: known.map((row) => Number(row.input) / 1e9), colour: '--c2' }],
        });
      },
    }),
    listed(context, {
      title: t('All changes'), name: 'prices', query, caption: t('Prices of a million tokens in FWY, newest first'), when: moves, gap: 5_000,
      columns: [
        { name: t('Block'), row: true, cell: (row) => block(row.height) },
        { name: t('Model'), cell: (row) => link(at(['models', row.model]), words(row.name ?? '', 32) || `${row.model.slice(0, 8)}…`) },
        { name: t('Input'), num: true, cell: (row) => coins(row.input, 6) },
        { name: t('Cached'), num: true, cell: (row) => coins(row.cached, 6) },
        { name: t('Output'), num: true, cell: (row) => coins(row.output, 6) },
        { name: t('Busy'), num: true, cell: (row) => (row.utilisation === null || row.utilisation === undefined ? t('registered') : percent(row.utilisation / 1000)) },
      ],
    }),
  ];
}

export function prices(context) {
  const query = Object.fromEntries(['model', 'from', 'to'].map((name) => [name, context.query.get(name)]).filter(([, text]) => text));
  return {
    title: t('Prices'),
    nodes: [
      h('p', { class: 'back' }, link('/models', t('Models'))),
      head(t('Prices'), t('No one sets a price. The chain moves it by a small step: up while hosts of a model are busy, down while they idle. A lane keeps the prices of its opening.')),
      ...priced(context, query),
    ],
  };
}

export function one(context) {
  const { model } = context.params;
  return {
    title: t('Model'),
    nodes: [
      h('p', { class: 'back' }, link('/models', t('All models'))),
      panel(context, {
        title: t('Model'), level: 'h1', when: moves, gap: 10_000, load: (signal) => get(at(['v1', 'models', model], { limit: 200 }), signal),
        render: (view) => [
          facts(
            [t('Name'), words(view.name, 128)],
            [t('Root'), h('code', {}, view.root)],
            [t('Tier'), tier(view)],
            [t('Context'), t('{n} tokens', { n: whole(view.context) })],
            [t('Registered'), t('in epoch {epoch} by', { epoch: whole(view.since_epoch) }), ' ', account(view.by)],
            [t('Prices of a million tokens'), t('{input} FWY in, {cached} FWY cached, {output} FWY out', { input: coins(view.prices.input, 6), cached: coins(view.prices.cached, 6), output: coins(view.prices.output, 6) })],
            [t('Served by'), t('{n} hosts', { n: whole(view.serving) })],
          ),
          table({
            caption: t('Hosts that serve it'), rows: view.hosts, none: [t('No host serves it.')],
            columns: [
              { name: t('Operator'), row: true, cell: (row) => account(row.host, row.operator) },
              { name: t('Region'), cell: (row) => words(row.region, 24) || '–' },
              { name: t('Power'), num: true, cell: (row) => whole(row.power) },
              { name: t('Since'), num: true, cell: (row) => block(row.since) },
            ],
          }),
        ],
      }),
      ...priced(context, { model }),
    ],
  };
}
