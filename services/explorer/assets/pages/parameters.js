// Parameters: every number of the rules.

import { get } from '../api.js';
import { h } from '../dom.js';
import { whole, words } from '../format.js';
import { t } from '../i18n.js';
import { facts, head, panel, table } from '../parts.js';

function lines(values, path = []) {
  return Object.entries(values).flatMap(([name, value]) => (value !== null && typeof value === 'object' && !Array.isArray(value)
    ? lines(value, [...path, name])
    : [{ name: [...path, name].join(' · ').replaceAll('_', ' '), value }]));
}

function said(value) {
  if (value === null) return t('none');
  if (typeof value === 'number') return whole(value);
  if (typeof value === 'boolean') return value ? t('yes') : t('no');
  return words(Array.isArray(value) ? value.join(', ') : value, 120);
}

export function page(context) {
  return {
    title: t('Parameters'),
    nodes: [
      head(t('Parameters'), t('Every number of the rules, as this network runs them. They are part of its genesis; amounts carry their unit.')),
      panel(context, {
        title: t('This node'), gap: 15_000, when: () => true, load: async (signal) => {
          const view = await get('/v1/status', signal);
          return { name: view.name, chain: view.chain, version: view.version, signing: view.signing, address: view.address, peers: view.peers, oldest: view.oldest_block };
        },
        render: (view) => facts(
          [t('Network'), words(view.name, 64)], [t('Genesis'), h('code', {}, view.chain)], [t('Version'), words(view.version, 40)],
          [t('Signs blocks'), { active: t('yes'), watching: t('soon: it watches first'), none: t('no') }[view.signing] ?? words(view.signing, 20)],
          [t('Peers'), whole(view.peers)], [t('Oldest block kept'), whole(view.oldest)]),
      }),
      panel(context, {
        title: t('Rules'), tools: h('a', { href: '/v1/parameters', download: 'parameters.json' }, 'JSON'), load: (signal) => get('/v1/parameters', signal),
        render: (view) => h('div', { class: 'columns' }, Object.entries(view).map(([part, values]) => h('section', {},
          h('h3', {}, words(part, 40)),
          table({
            caption: part, quiet: true, rows: lines(values),
            columns: [{ name: t('Parameter'), row: true, cell: (row) => words(row.name, 80) }, { name: t('Value'), num: true, cell: (row) => said(row.value) }],
          })))),
      }),
    ],
  };
}
