// A receipt of work, checked here: its bytes, the host's signature, its price, and its place in what the host committed
// to on the chain. The words are those of the protocol (docs/protocol/work.md); nothing is asked of anybody.

import { digest } from './blake3.js';

const RECEIPT_BYTES = 196;
// Seven numbers of a request's sampling, and a token with its bias.
const SAMPLING_BYTES = 28;
const BIAS_BYTES = 8;
const MAX_DEPTH = 32;
const MAX_BYTES = 4 << 20;

/** Bytes that are not what they should be. */
export class Damaged extends Error {}

/** Hexadecimal digits as bytes. */
export function unhex(text) {
  if (typeof text !== 'string' || text.length % 2 || text.length > 2 * MAX_BYTES || !/^[0-9a-f]*$/i.test(text)) throw new Damaged('not hexadecimal');
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Bytes as hexadecimal digits. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function join(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function little(value, length) {
  let rest = BigInt(value);
  return Uint8Array.from({ length }, () => {
    const byte = Number(rest & 255n);
    rest >>= 8n;
    return byte;
  });
}

/** Reads canonical bytes from the front. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(length) {
    if (!(length >= 0) || this.at + length > this.bytes.length) throw new Damaged('cut short');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  number(length) {
    return this.take(length).reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
  }

  count() {
    return Number(this.number(4));
  }

  option(read) {
    const is = this.take(1)[0];
    if (is > 1) throw new Damaged('neither there nor missing');
    return is ? read() : null;
  }

  end() {
    if (this.at !== this.bytes.length) throw new Damaged('more than there should be');
  }
}

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

function checksum(values) {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((part, bit) => {
      if ((top >>> bit) & 1) sum ^= part;
    });
  }
  return sum;
}

/** The 32 bytes of an account as its address: bech32m with the prefix `fwy`. */
export function address(bytes) {
  const values = [];
  let [held, bits] = [0, 0];
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      values.push((held >>> bits) & 31);
    }
    held &= (1 << bits) - 1;
  }
  if (bits) values.push((held << (5 - bits)) & 31);
  const prefix = [...'fwy'].map((letter) => letter.charCodeAt(0));
  const spread = [...prefix.map((code) => code >>> 5), 0, ...prefix.map((code) => code & 31)];
  const sum = checksum([...spread, ...values, 0, 0, 0, 0, 0, 0]) ^ 0x2bc830a3;
  const tail = [0, 1, 2, 3, 4, 5].map((place) => (sum >>> (5 * (5 - place))) & 31);
  return `fwy1${[...values, ...tail].map((value) => ALPHABET[value]).join('')}`;
}

function receipt(reader) {
  const start = reader.at;
  const read = {
    lane: reader.number(8), host: address(reader.take(32)), sequence: reader.number(8), interval: reader.number(8),
    request: hex(reader.take(32)), output: hex(reader.take(32)), trace: hex(reader.take(32)),
    prompt: reader.number(4), cached: reader.number(4), completion: reader.number(4), fee: reader.number(16), total: reader.number(16),
  };
  const bytes = reader.bytes.slice(start, reader.at);
  if (bytes.length !== RECEIPT_BYTES) throw new Damaged('not as long as a receipt');
  return { ...read, bytes, digest: hex(digest('freeway 1 receipt digest', bytes)) };
}

/** A request's bytes are gone over once, to find where they end and how long its prompt is. */
function request(reader) {
  const start = reader.at;
  const model = hex(reader.take(32));
  const prompt = reader.count();
  reader.take(4 * prompt);
  reader.take(4 + 2);
  reader.take(SAMPLING_BYTES);
  reader.take(BIAS_BYTES * reader.count());
  reader.take(4 * reader.count());
  reader.option(() => reader.take(1) && reader.take(reader.count()));
  reader.option(() => reader.take(1));
  reader.take(32);
  return { model, prompt, digest: hex(digest('freeway 1 token request', reader.bytes.slice(start, reader.at))) };
}

function output(reader) {
  const parts = [];
  let tokens = 0;
  for (let left = reader.count(); left > 0; left -= 1) {
    const length = reader.count();
    parts.push(little(length, 8), reader.take(4 * length));
    tokens += length;
  }
  return { tokens, digest: hex(digest('freeway 1 output', join(...parts))) };
}

/** What a kept receipt has in its `artifact`. */
export function artifact(text) {
  const reader = new Reader(unhex(text));
  const signed = receipt(reader);
  const signature = reader.take(64);
  const voucher = { lane: reader.number(8), host: address(reader.take(32)), sequence: reader.number(8), spent: reader.number(16), limit: reader.number(16), request: hex(reader.take(32)) };
  reader.take(64);
  const asked = request(reader);
  const gave = output(reader);
  return { receipt: signed, signature, voucher, request: asked, output: gave };
}

/** What an `Ed25519` signature over `bytes` for this network is over. */
export function signed(domain, chain, bytes) {
  return digest(domain, join(unhex(chain), bytes));
}

/** Whether the key has signed the message; `null` where this browser cannot tell. */
export async function holds(key, message, signature) {
  if (!globalThis.crypto?.subtle) return null;
  let imported;
  try {
    imported = await crypto.subtle.importKey('raw', unhex(key), { name: 'Ed25519' }, false, ['verify']);
  } catch (error) {
    if (error.name === 'NotSupportedError' || error instanceof TypeError) return null;
    return false;
  }
  return crypto.subtle.verify({ name: 'Ed25519' }, imported, signature, message);
}

/** What these tokens cost, in base units. */
export function fee(prices, { prompt, cached, completion }) {
  const known = cached < prompt ? cached : prompt;
  const all = (prompt - known) * BigInt(prices.input) + known * BigInt(prices.cached) + completion * BigInt(prices.output);
  return (all + 999_999n) / 1_000_000n;
}

function sums(reader) {
  return { fees: reader.number(16), tokens: reader.number(8) };
}

function summed(value) {
  return join(little(value.fees, 16), little(value.tokens, 8));
}

/** A leaf as a host shows it. */
export function leaf(bytes) {
  const reader = new Reader(bytes);
  const interval = reader.number(8);
  const branch = reader.take(1)[0];
  const opening = { index: reader.number(8), digest: hex(reader.take(32)), sums: sums(reader), path: [] };
  const length = reader.count();
  if (length > MAX_DEPTH) throw new Damaged('a path longer than any tree is deep');
  for (let level = 0; level < length; level += 1) opening.path.push({ hash: reader.take(32), sums: sums(reader) });
  const entry = { lane: reader.number(8), sequence: reader.number(8), total: reader.number(16), receipt: hex(reader.take(32)), sums: sums(reader) };
  reader.end();
  return { interval, branch, opening, entry };
}

/** The digest of an entry of a commitment. */
export function named(entry) {
  return hex(digest('freeway 1 work entry', join(little(entry.lane, 8), little(entry.sequence, 8), little(entry.total, 16), unhex(entry.receipt))));
}

/** Whether an opening leads to the tree of this root, count, fees and tokens. */
export function opens(opening, total) {
  const count = BigInt(total.count);
  if (opening.index >= count || opening.path.length > MAX_DEPTH) return false;
  let [at, last] = [opening.index, count - 1n];
  let here = { hash: digest('freeway 1 sum leaf', join(unhex(opening.digest), summed(opening.sums))), sums: opening.sums };
  const above = (left, right) => ({
    hash: digest('freeway 1 sum node', join(left.hash, summed(left.sums), right.hash, summed(right.sums))),
    sums: { fees: left.sums.fees + right.sums.fees, tokens: left.sums.tokens + right.sums.tokens },
  });
  for (const beside of opening.path) {
    if (last === 0n) return false;
    if (at % 2n === 1n || at === last) {
      here = above(beside, here);
      // At the right edge, levels where the subtree has no left neighbour add nothing.
      while (at > 0n && at % 2n === 0n) {
        at >>= 1n;
        last >>= 1n;
      }
    } else {
      here = above(here, beside);
    }
    at >>= 1n;
    last >>= 1n;
  }
  const root = digest('freeway 1 sum root', join(little(count, 8), summed(here.sums), here.hash));
  return last === 0n && hex(root) === total.root && here.sums.fees === BigInt(total.fees) && here.sums.tokens === BigInt(total.tokens);
}
