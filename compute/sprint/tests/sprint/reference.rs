//! The function from its description: no packing, no batch, no kernels, checked arithmetic throughout.
//!
//! Matrices are indexed directly, and overflow of an i32 (an i64 in the norm) ends the test.

use freeway_sprint::{Input, Shape};

const EXP2: [i32; 16] = [
    32768, 31379, 30048, 28774, 27554, 26386, 25268, 24196, 23170, 22188, 21247, 20347, 19484, 18658, 17867,
    17109,
];
const LIMIT: i32 = (1 << 23) - 1;

/// ChaCha8 as RFC 8439 describes the cipher, with eight rounds.
fn chacha8(key: &[u8; 32], counter: u32, nonce: [u32; 3]) -> [u8; 64] {
    let mut initial = vec![0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
    initial.extend(key.chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())));
    initial.push(counter);
    initial.extend(nonce);
    let mut x = initial.clone();
    for round in 0..8 {
        for i in 0..4 {
            // Columns in even rounds, diagonals in odd ones.
            let shift = |steps: usize| if round % 2 == 0 { i } else { (i + steps) % 4 };
            let (a, b, c, d) = (i, 4 + shift(1), 8 + shift(2), 12 + shift(3));
            for (to, from, rotated, bits) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                x[to] = x[to].wrapping_add(x[from]);
                x[rotated] = (x[rotated] ^ x[to]).rotate_left(bits);
            }
        }
    }
    let words = x.iter().zip(&initial).map(|(x, initial)| x.wrapping_add(*initial).to_le_bytes());
    words.collect::<Vec<_>>().concat().try_into().unwrap()
}

fn operand(byte: u8) -> i32 {
    if byte == 0x80 { 0 } else { i32::from(byte as i8) }
}

fn rs(value: i32, shift: u32) -> i32 {
    value.checked_add(1 << (shift - 1)).unwrap() >> shift
}

fn c8(value: i32) -> i32 {
    value.clamp(-127, 127)
}

fn shift(inner: usize) -> u32 {
    (0..).find(|s| 1u64 << (2 * s + 1) >= 5_376 * inner as u64).unwrap()
}

/// The largest `r` with `r * r <= value`, by halving an interval.
fn root(value: u64) -> u64 {
    let (mut low, mut high) = (0u64, 1 << 32);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if middle * middle <= value { low = middle } else { high = middle }
    }
    low
}

/// `W[n][k]`.
fn matrix(key: &[u8; 32], layer: usize, number: u32, columns: usize, inner: usize) -> Vec<Vec<i32>> {
    let column = |n: usize| {
        (0..inner / 64)
            .flat_map(|j| chacha8(key, (n * (inner / 64) + j) as u32, [layer as u32, number, 1]))
            .map(operand)
            .collect()
    };
    (0..columns).map(column).collect()
}

fn product(rows: &[Vec<i32>], weights: &[Vec<i32>]) -> Vec<Vec<i32>> {
    let sum = |row: &[i32], column: &[i32]| {
        row.iter().zip(column).fold(0i32, |sum, (a, w)| sum.checked_add(a * w).unwrap())
    };
    rows.iter().map(|row| weights.iter().map(|column| sum(row, column)).collect()).collect()
}

fn norm(h: &[Vec<i32>]) -> Vec<Vec<i32>> {
    let row = |h: &Vec<i32>| {
        let squares = h.iter().map(|h| i64::from(*h) * i64::from(*h));
        let sum = squares.fold(0i64, |sum, square| sum.checked_add(square).unwrap());
        let rms = root(sum as u64 / h.len() as u64).max(1);
        let inverse = (1i64 << 29) / rms as i64;
        let scale = |h: &i32| {
            let product = i64::from(*h).checked_mul(inverse).unwrap();
            (product.checked_add(1 << 23).unwrap() >> 24).clamp(-127, 127) as i32
        };
        h.iter().map(scale).collect()
    };
    h.iter().map(row).collect()
}

fn attention(qkv: &[Vec<i32>], width: usize) -> Vec<Vec<i32>> {
    let mut out = vec![vec![0; width]; qkv.len()];
    let tokens = qkv.len();
    for head in (0..width).step_by(64) {
        for i in 0..tokens {
            let query = &qkv[i][head..head + 64];
            let key = |j: usize| &qkv[j][width + head..width + head + 64];
            let score = |j: usize| query.iter().zip(key(j)).map(|(q, k)| q * k).sum::<i32>();
            let best = (0..tokens).map(score).max().unwrap();
            let p = |j: usize| {
                let t = (best - score(j)) >> 8;
                if t >> 4 > 15 { 0 } else { EXP2[(t & 15) as usize] >> (t >> 4) }
            };
            let z: i32 = (0..tokens).map(p).sum();
            for element in 0..64 {
                let weighted = |j: usize| (127 * p(j) + z / 2) / z * qkv[j][2 * width + head + element];
                out[i][head + element] = c8(rs((0..tokens).map(weighted).sum(), 7));
            }
        }
    }
    out
}

fn residual(h: &mut [Vec<i32>], sums: &[Vec<i32>], shift: u32) {
    for (h, sums) in h.iter_mut().zip(sums) {
        for (h, sum) in h.iter_mut().zip(sums) {
            *h = h.checked_add(rs(*sum, shift)).unwrap().clamp(-LIMIT, LIMIT);
        }
    }
}

/// The digest of the trace, and the final state.
pub(crate) fn trace(shape: Shape, input: &Input) -> ([u8; 32], Vec<i32>) {
    let (tokens, width, hidden) = (shape.tokens(), shape.width(), shape.hidden());
    let weights_key = blake3::derive_key("freeway 1 sprint weights", &input.seed);
    let mut material = [&input.seed[..], &input.host].concat();
    material.extend(input.device.to_le_bytes());
    material.extend(input.nonce.to_le_bytes());
    let nonce_key = blake3::derive_key("freeway 1 sprint nonce", &material);

    let mut digest = blake3::Hasher::new_derive_key("freeway 1 sprint trace");
    for dimension in [tokens, width, shape.layers(), hidden] {
        digest.update(&(dimension as u32).to_le_bytes());
    }
    digest.update(&material);

    let mut h = vec![vec![0i32; width]; tokens];
    let (sd, sf) = (shift(width), shift(hidden));
    let s2 = if 5_376 * width as u64 > 1 << (2 * sd) { 5 } else { 4 };
    let requantised = |rows: Vec<Vec<i32>>| -> Vec<Vec<i32>> {
        rows.into_iter().map(|row| row.into_iter().map(|sum| c8(rs(sum, sd))).collect()).collect()
    };
    for layer in 0..shape.layers() {
        for (token, h) in h.iter_mut().enumerate() {
            for (d, h) in h.iter_mut().enumerate() {
                let block = chacha8(&nonce_key, (d / 64) as u32, [layer as u32, token as u32, 2]);
                *h = (*h + (operand(block[d % 64]) << 5)).clamp(-LIMIT, LIMIT);
            }
        }
        let qkv = requantised(product(&norm(&h), &matrix(&weights_key, layer, 0, 3 * width, width)));
        let heads = attention(&qkv, width);
        residual(&mut h, &product(&heads, &matrix(&weights_key, layer, 1, width, width)), sd - 6);

        let both = requantised(product(&norm(&h), &matrix(&weights_key, layer, 2, 2 * hidden, width)));
        let gated: Vec<Vec<i32>> = both
            .iter()
            .map(|row| {
                let gate = |z: usize| row[z / 16 * 32 + z % 16];
                let leaky = |g: i32| if g >= 0 { g } else { g >> 2 };
                (0..hidden).map(|z| c8(rs(leaky(gate(z)) * row[z / 16 * 32 + 16 + z % 16], s2))).collect()
            })
            .collect();
        residual(&mut h, &product(&gated, &matrix(&weights_key, layer, 3, width, hidden)), sf - 6);

        if (layer + 1) % 4 == 0 || layer + 1 == shape.layers() {
            let bytes: Vec<u8> = h.iter().flatten().flat_map(|h| h.to_le_bytes()).collect();
            digest.update(blake3::hash(&bytes).as_bytes());
        }
    }
    (*digest.finalize().as_bytes(), h.concat())
}
