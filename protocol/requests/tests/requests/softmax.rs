//! The contract against floats: the same draw computed the plain way in double precision, wherever that is sure of
//! its answer.

use std::cmp::Reverse;

use freeway_primitives::{Digest, Domain};
use freeway_requests::{Q16, Sampler, Sampling, Share, TokenRequest};
use proptest::prelude::*;

use crate::kit::{logits, request};

/// Closer decisions than this are left open.
const MARGIN: f64 = 1e-7;

/// The number of a position in `0..1`, from its description.
fn word(request: &TokenRequest, choice: u16, position: u64) -> f64 {
    let key = [&request.digest().0[..], &choice.to_le_bytes()].concat();
    let key = Digest::of(Domain::new("freeway 1 sampling stream"), &key).0;
    let hash = blake3::keyed_hash(&key, &position.to_le_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) as f64 / 2f64.powi(64)
}

/// The token, or `None` if rounding could decide.
fn reference(sampling: &Sampling, row: &[f64], number: f64) -> Option<u32> {
    let temperature = f64::from(sampling.temperature.0) / 65_536.0;
    let most = row.iter().copied().fold(f64::MIN, f64::max);
    let weight = |token: usize| ((row[token] - most) / temperature).exp();
    let mut order: Vec<usize> = (0..row.len()).collect();
    // Logits are whole units.
    order.sort_by_key(|token| (Reverse((row[*token] * 65_536.0) as i64), *token));
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k as usize);
    }
    let sum = |tokens: &[usize]| tokens.iter().map(|token| weight(*token)).sum::<f64>();
    let top_p = f64::from(sampling.top_p.0) / 2f64.powi(30);
    if top_p < 1.0 {
        let target = top_p * sum(&order);
        let (mut reached, mut kept) = (0.0, 0);
        while kept == 0 || reached < target {
            reached += weight(*order.get(kept)?);
            kept += 1;
            if (reached - target).abs() < MARGIN * sum(&order) {
                return None;
            }
        }
        order.truncate(kept);
    }
    let min_p = f64::from(sampling.min_p.0) / 2f64.powi(30);
    let close = |token: &usize| (weight(*token) - min_p).abs() < MARGIN && *token != order[0];
    if min_p > 0.0 && order.iter().any(close) {
        return None;
    }
    order.retain(|token| weight(*token) >= min_p);
    order.sort_unstable();
    let point = number * sum(&order);
    let mut reached = 0.0;
    for token in &order {
        reached += weight(*token);
        if (reached - point).abs() < MARGIN * sum(&order) {
            return None;
        }
        if reached > point {
            return Some(*token as u32);
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn draws_are_those_of_the_softmax(
        number: u64,
        vocabulary in 1usize..3_000,
        spread in 1_000i32..400_000,
        temperature in 6_553i32..200_000,
        top_k in prop_oneof![Just(0u32), 1u32..100],
        top_p in prop_oneof![Just(1 << 30), 0u32..1 << 30],
        min_p in prop_oneof![2 => Just(0), 1 => 1u32 << 20..1 << 29],
        choice: u16,
    ) {
        let request = request(Sampling {
            temperature: Q16(temperature),
            top_k,
            top_p: Share(top_p),
            min_p: Share(min_p),
            ..Sampling::default()
        });
        let mut sampler = Sampler::new(&request, choice);
        let mut sure = 0;
        for position in 0..8 {
            let row = logits(number ^ position, vocabulary, spread);
            let token = sampler.step(&row, None).unwrap().token;
            let row: Vec<_> = row.iter().map(|logit| f64::from(*logit) / 65_536.0).collect();
            if let Some(expected) = reference(&request.sampling, &row, word(&request, choice, position)) {
                prop_assert_eq!(token, expected);
                sure += 1;
            }
        }
        prop_assert!(sure > 0 || min_p > 0 || top_p < 1 << 30, "nothing was compared");
    }
}
