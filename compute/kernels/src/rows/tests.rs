//! Row functions of every backend against the definitions.

use proptest::prelude::*;

use super::*;
use crate::arithmetic::{MAX_STATE, c8, clamp23, exponential, isqrt, operand, rs};

fn bytes(seed: u8, count: usize) -> Vec<i8> {
    let key = Key::derive("test", &[seed]);
    let blocks = (0..count.div_ceil(64) as u32).flat_map(|block| key.block(block, [0; 3]));
    blocks.map(operand).take(count).collect()
}

fn all(matrix: &Activations) -> Vec<i8> {
    (0..matrix.rows())
        .flat_map(|m| (0..matrix.width()).map(move |k| (m, k)))
        .map(|(m, k)| matrix.get(m, k))
        .collect()
}

/// Calls `check` with every backend and some numbers of threads.
fn everywhere(check: impl Fn(Backend, usize)) {
    for backend in Backend::available() {
        for threads in [1, 3] {
            check(backend, threads);
        }
    }
}

fn check_norm(h: &[i32], width: usize) {
    let expected: Vec<i8> = h
        .chunks(width)
        .flat_map(|row| {
            let sum: u64 = row.iter().map(|h| u64::from(h.unsigned_abs()).pow(2)).sum();
            let inverse = i128::from((1u64 << 29) / isqrt(sum / width as u64).max(1));
            row.iter().map(move |h| ((i128::from(*h) * inverse + (1 << 23)) >> 24).clamp(-127, 127) as i8)
        })
        .collect();
    everywhere(|backend, threads| {
        let mut out = Activations::new(backend, h.len() / width, width);
        norm(backend, threads, h, &mut out);
        assert_eq!(all(&out), expected, "{backend}");
    });
}

#[test]
fn norms_at_the_extremes() {
    for value in [0, 1, -1, MAX_STATE, -MAX_STATE] {
        check_norm(&[value; 192], 64);
        check_norm(&vec![value; 65_536], 65_536);
    }
    let mut spike = vec![0; 65_536];
    spike[77] = -MAX_STATE;
    check_norm(&spike, 65_536);
}

fn check_attention(qkv: &[i8], sequences: usize, tokens: usize, width: usize) {
    let at =
        |row: usize, part: usize, element: usize| i32::from(qkv[row * 3 * width + part * width + element]);
    let mut expected = vec![0i8; sequences * tokens * width];
    for row in 0..sequences * tokens {
        let first = row / tokens * tokens;
        for head in (0..width).step_by(HEAD) {
            let score = |j: usize| -> i32 { (head..head + HEAD).map(|e| at(row, 0, e) * at(j, 1, e)).sum() };
            let positions = first..first + tokens;
            let scores: Vec<_> = positions.clone().map(score).collect();
            let best = *scores.iter().max().unwrap();
            let p: Vec<_> = scores.iter().map(|score| exponential(best, *score)).collect();
            let total: i32 = p.iter().sum();
            for element in head..head + HEAD {
                let weighted =
                    positions.clone().zip(&p).map(|(j, p)| (127 * p + total / 2) / total * at(j, 2, element));
                expected[row * width + element] = c8(rs(weighted.sum(), 7)) as i8;
            }
        }
    }
    everywhere(|backend, threads| {
        let mut out = Activations::new(backend, sequences * tokens, width);
        attention(backend, threads, qkv, tokens, &mut out);
        assert_eq!(all(&out), expected, "{backend}");
    });
}

#[test]
fn attention_at_the_extremes() {
    for value in [127, -127, 0] {
        check_attention(&[value; 3 * 64 * 64], 1, 64, 64);
    }
    // Sharp: one key is far better than the others.
    let mut qkv = vec![127i8; 3 * 8 * 64];
    qkv[4 * 192 + 64..][..64].fill(-127);
    check_attention(&qkv, 1, 8, 64);
}

#[test]
fn work_for_many_threads_gives_the_same_bits() {
    let (tokens, width) = (16, 1024);
    let qkv = bytes(4, 3 * 128 * width);
    let h: Vec<i32> = bytes(5, 512 * width).iter().map(|x| i32::from(*x) * 1000).collect();
    let keys: Vec<_> = (0..32).map(|nonce| Key::derive("test", &[nonce])).collect();
    for backend in Backend::available() {
        let run = |threads: usize| {
            let mut out = Activations::new(backend, 128, width);
            attention(backend, threads, &qkv, tokens, &mut out);
            let mut x = Activations::new(backend, 512, width);
            norm(backend, threads, &h, &mut x);
            let mut h = h.clone();
            inject(backend, threads, &mut h, width, tokens, &keys, 7);
            (all(&out), all(&x), h)
        };
        let expected = run(1);
        assert!(run(2) == expected && run(5) == expected, "{backend}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn norms(seed: u8, rows in 1usize..20, blocks in 1usize..4, factor in 1i32..66_000) {
        let h: Vec<_> = bytes(seed, rows * blocks * 64).iter().map(|x| i32::from(*x) * factor).collect();
        check_norm(&h, blocks * 64);
    }

    #[test]
    fn attentions(seed: u8, sequences in 1usize..4, tokens in 1usize..20, heads in 1usize..3, divisor in 1i8..20) {
        let mut qkv = bytes(seed, sequences * tokens * 3 * heads * 64);
        qkv.iter_mut().for_each(|x| *x /= divisor);
        check_attention(&qkv, sequences, tokens, heads * 64);
    }

    #[test]
    fn injections(seed: u8, nonces in 1usize..6, tokens in 1usize..5, blocks in 1usize..20, layer: u32) {
        let width = 64 * blocks;
        let keys: Vec<_> = (0..nonces).map(|nonce| Key::derive("test", &[seed, nonce as u8])).collect();
        let start = |i: usize| [0, 5, MAX_STATE, -MAX_STATE][i % 4];
        let expected: Vec<i32> = (0..nonces * tokens * width)
            .map(|i| {
                let (row, element) = (i / width, i % width);
                let nonce = [layer, (row % tokens) as u32, INPUT_STREAM];
                let byte = keys[row / tokens].block((element / 64) as u32, nonce)[element % 64];
                clamp23(start(i) + (i32::from(operand(byte)) << 5))
            })
            .collect();
        everywhere(|backend, threads| {
            let mut h: Vec<_> = (0..expected.len()).map(start).collect();
            inject(backend, threads, &mut h, width, tokens, &keys, layer);
            assert_eq!(h, expected, "{backend}");
        });
    }
}
