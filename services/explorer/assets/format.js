// Numbers, money, times and names as people read them.

import { language, t } from './i18n.js';

const UNIT = 1_000_000_000n;

function number(options) {
  return new Intl.NumberFormat(language(), options);
}

/** A whole number with separators. */
export function whole(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string' && /^\d+$/.test(value)) return number().format(BigInt(value));
  return Number.isFinite(Number(value)) ? number({ maximumFractionDigits: 0 }).format(value) : '–';
}

/** A number of any size with about three digits that matter. */
export function short(value) {
  const x = Number(value);
  if (value === null || value === undefined || !Number.isFinite(x)) return '–';
  if (x === 0) return '0';
  const size = Math.abs(x);
  if (size >= 100_000) return number({ notation: 'compact', maximumSignificantDigits: 3 }).format(x);
  if (size >= 0.001) return number({ maximumSignificantDigits: size >= 1000 ? 5 : 3 }).format(x);
  return number({ maximumSignificantDigits: 3, maximumFractionDigits: 12 }).format(x);
}

/** A share from 0 to 1 in hundredths. */
export function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(Number(value))) return '–';
  return number({ style: 'percent', maximumFractionDigits: 1 }).format(value);
}

/** Base units as FWY, exact to the last unit. */
export function coins(units, digits = 9) {
  let value;
  try {
    value = BigInt(units);
  } catch {
    return '–';
  }
  const sign = value < 0n ? '-' : '';
  if (value < 0n) value = -value;
  const fraction = String(value % UNIT).padStart(9, '0');
  let shown = fraction.slice(0, digits).replace(/0+$/, '');
  // What is not nothing is not shown as nothing.
  if (value > 0n && value / UNIT === 0n && shown === '') shown = fraction.replace(/0+$/, '');
  return `${sign}${number().format(value / UNIT)}${shown ? point() + shown : ''}`;
}

function point() {
  return number({ minimumFractionDigits: 1 }).format(0.5).charAt(1);
}

/** The same with its unit. */
export function money(units, digits = 4) {
  const text = coins(units, digits);
  return text === '–' ? text : `${text} FWY`;
}

/** The moment of a block. */
export function moment(ms) {
  if (!ms) return '–';
  return new Intl.DateTimeFormat(language(), { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(Number(ms)));
}

/** A span of seconds. */
export function span(seconds) {
  const s = Math.max(0, Math.round(Number(seconds)));
  if (!Number.isFinite(s)) return '–';
  if (s < 90) return t('{n} s', { n: s });
  if (s < 5400) return t('{n} min', { n: Math.round(s / 60) });
  if (s < 172_800) return t('{n} h', { n: Math.round(s / 3600) });
  return t('{n} days', { n: Math.round(s / 86_400) });
}

/** Bytes. */
export function bytes(value) {
  const x = Number(value);
  if (!Number.isFinite(x)) return '–';
  if (x < 10_000) return `${whole(x)} B`;
  return x < 10_000_000 ? `${short(x / 1000)} kB` : `${short(x / 1e6)} MB`;
}

/** The two ends of an address or digest. */
export function ends(text, head = 9, tail = 4) {
  const value = String(text ?? '');
  return value.length <= head + tail + 1 ? value : `${value.slice(0, head)}…${value.slice(-tail)}`;
}

/** What others wrote, not longer than it has to be. */
export function words(text, length = 64) {
  const value = [...String(text ?? '')];
  return value.length > length ? `${value.slice(0, length - 1).join('')}…` : value.join('');
}
