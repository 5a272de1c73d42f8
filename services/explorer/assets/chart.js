// A line over epochs or blocks, drawn by uPlot; the same numbers stand in a table for those who do not see it.

import { h, own } from './dom.js';
import { short, whole } from './format.js';
import { t } from './i18n.js';
import { table } from './parts.js';

let loading = null;

function library() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(h('link', { rel: 'stylesheet', href: '/assets/vendor/uPlot.css' }));
    const script = document.createElement('script');
    script.src = '/assets/vendor/uPlot.js';
    script.addEventListener('load', () => resolve(window.uPlot));
    script.addEventListener('error', () => {
      loading = null;
      reject(new Error('the chart cannot be loaded'));
    });
    document.head.append(script);
  });
  return loading;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * A chart of `series`: `{ name, values, colour }` over `xs`, named `x`. `shown(x)` writes a point of the x-axis, `value`
 * a value. `signal` ends it.
 */
export function chart({ title, x, xs, series, value = short, shown = whole, signal, bars = false }) {
  const place = own(h('div', { class: 'chart', role: 'img', 'aria-label': title }));
  const rows = xs.map((at, index) => ({ at, index })).reverse();
  const numbers = h('details', {}, h('summary', { class: 'soft' }, t('As a table')), table({
    caption: title,
    columns: [{ name: x, row: true, cell: (row) => shown(row.at) },
      ...series.map((one) => ({ name: one.name, num: true, cell: (row) => value(one.values[row.index]) }))],
    rows,
  }));
  let plot = null;

  async function draw() {
    const uPlot = await library();
    if (signal.aborted || !place.isConnected) return;
    plot?.destroy();
    const axis = { stroke: colour('--soft'), font: '12px system-ui, sans-serif', grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    plot = new uPlot({
      width: Math.max(200, place.clientWidth), height: 220,
      scales: { x: { time: false }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((at) => (Number.isInteger(at) ? shown(at) : '')) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((at) => value(at)) },
      ],
      legend: { live: true },
      cursor: { drag: { x: false, y: false } },
      series: [{ label: x, value: (_, at) => (at === null ? '–' : shown(at)) }, ...series.map((one) => ({
        label: one.name, stroke: colour(one.colour), width: 2, points: { show: xs.length < 40, fill: colour('--panel') },
        fill: bars ? colour(one.colour) : undefined, paths: bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
        value: (_, at) => (at === null ? '–' : value(at)),
      }))],
    }, [xs, ...series.map((one) => one.values)], place);
  }

  const again = () => draw().catch(() => numbers.setAttribute('open', ''));
  const sizes = new ResizeObserver(() => plot?.setSize({ width: Math.max(200, place.clientWidth), height: 220 }));
  sizes.observe(place);
  document.addEventListener('theme', again, { signal });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again, { signal });
  signal.addEventListener('abort', () => {
    sizes.disconnect();
    plot?.destroy();
  });
  requestAnimationFrame(again);
  return own(h('figure', {}, place, numbers));
}
