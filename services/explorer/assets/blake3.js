// BLAKE3 in its key derivation mode, which all digests of the protocol are made with.
// After the paper's section 2: chunks of 1,024 bytes in blocks of 64, joined to a binary tree.

const IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const CHUNK = 1024;
const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;
const CONTEXT = 32;
const MATERIAL = 64;

function mix(v, a, b, c, d, x, y) {
  v[a] = (v[a] + v[b] + x) | 0;
  v[d] = rotated(v[d] ^ v[a], 16);
  v[c] = (v[c] + v[d]) | 0;
  v[b] = rotated(v[b] ^ v[c], 12);
  v[a] = (v[a] + v[b] + y) | 0;
  v[d] = rotated(v[d] ^ v[a], 8);
  v[c] = (v[c] + v[d]) | 0;
  v[b] = rotated(v[b] ^ v[c], 7);
}

function rotated(word, by) {
  return (word >>> by) | (word << (32 - by));
}

function compress(key, block, counter, length, flags) {
  const v = new Int32Array([...key, ...IV.slice(0, 4), counter % 2 ** 32, Math.floor(counter / 2 ** 32), length, flags]);
  let m = block;
  for (let round = 0; round < 7; round += 1) {
    mix(v, 0, 4, 8, 12, m[0], m[1]);
    mix(v, 1, 5, 9, 13, m[2], m[3]);
    mix(v, 2, 6, 10, 14, m[4], m[5]);
    mix(v, 3, 7, 11, 15, m[6], m[7]);
    mix(v, 0, 5, 10, 15, m[8], m[9]);
    mix(v, 1, 6, 11, 12, m[10], m[11]);
    mix(v, 2, 7, 8, 13, m[12], m[13]);
    mix(v, 3, 4, 9, 14, m[14], m[15]);
    m = ORDER.map((from) => m[from]);
  }
  return Array.from({ length: 8 }, (_, index) => v[index] ^ v[index + 8]);
}

function block(bytes) {
  const view = new DataView(new ArrayBuffer(64));
  bytes.forEach((byte, index) => view.setUint8(index, byte));
  return Array.from({ length: 16 }, (_, index) => view.getInt32(index * 4, true));
}

// What is left to do for a node: the last compression waits until it is known whether it is the root.
function chunk(key, bytes, counter, mode) {
  let value = key;
  let flags = mode | CHUNK_START;
  let at = 0;
  for (; bytes.length - at > 64; at += 64) {
    value = compress(value, block(bytes.subarray(at, at + 64)), counter, 64, flags);
    flags = mode;
  }
  const [last, input, length] = [block(bytes.subarray(at)), value, bytes.length - at];
  const final = flags | CHUNK_END;
  return (root) => compress(input, last, counter, length, final | root);
}

function node(key, bytes, counter, mode) {
  if (bytes.length <= CHUNK) return chunk(key, bytes, counter, mode);
  let left = CHUNK;
  while (left * 2 < bytes.length) left *= 2;
  const halves = [
    ...node(key, bytes.subarray(0, left), counter, mode)(0),
    ...node(key, bytes.subarray(left), counter + left / CHUNK, mode)(0),
  ];
  return (root) => compress(key, halves, 0, 64, mode | PARENT | root);
}

function hash(key, bytes, mode) {
  return node(key, bytes, 0, mode)(ROOT);
}

const keys = new Map();

/** The digest of `bytes` in the domain of this name: 32 bytes. */
export function digest(domain, bytes) {
  let key = keys.get(domain);
  if (!key) {
    key = hash(IV, new TextEncoder().encode(domain), CONTEXT);
    keys.set(domain, key);
  }
  const view = new DataView(new ArrayBuffer(32));
  hash(key, bytes, MATERIAL).forEach((word, index) => view.setInt32(index * 4, word, true));
  return new Uint8Array(view.buffer);
}
