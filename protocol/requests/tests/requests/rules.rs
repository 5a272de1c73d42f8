//! Each rule of the contract alone, on vocabularies small enough to see.

use freeway_primitives::Digest;
use freeway_requests::{Mask, ModelRoot, Q16, SampleError, Sampler, Sampling, Share, TokenRequest, score};

use crate::kit::{logits, q16, request, sampler, share};

const ONE: i32 = 65_536;

fn greedy(change: impl FnOnce(&mut Sampling)) -> Sampler {
    let mut sampling = Sampling::greedy();
    change(&mut sampling);
    sampler(sampling)
}

fn step(sampler: &mut Sampler, logits: &[i32]) -> u32 {
    sampler.step(logits, None).unwrap().token
}

/// Every token that is drawn in many steps.
fn drawn(sampling: Sampling, logits: &[i32]) -> Vec<u32> {
    let mut sampler = sampler(sampling);
    let mut tokens: Vec<_> = (0..2_000).map(|_| step(&mut sampler, logits)).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

#[test]
fn greedy_takes_the_largest_and_of_equals_the_lowest_id() {
    let mut sampler = greedy(|_| ());
    assert_eq!(step(&mut sampler, &[1, 9, 9, 3]), 1);
    assert_eq!(step(&mut sampler, &[i32::MIN, i32::MIN]), 0);
    assert_eq!(step(&mut sampler, &[5]), 0);
    // Beyond the clamp all are equal.
    assert_eq!(step(&mut sampler, &[0, (1 << 30) + 1, i32::MAX]), 1);
    assert_eq!(sampler.position(), 4);
}

#[test]
fn a_bias_is_added() {
    let mut sampler = greedy(|s| s.logit_bias = [(2, q16("1.5")), (9, q16("100"))].into());
    assert_eq!(step(&mut sampler, &[ONE, 0, 0]), 2);
    assert_eq!(step(&mut sampler, &[ONE * 3 / 2, 0, 0]), 0);
}

#[test]
fn a_repetition_penalty_divides_what_is_positive_and_multiplies_what_is_not() {
    // Tokens 1, 2 and 3 are the prompt.
    let new = || greedy(|s| s.repetition_penalty = q16("2"));
    assert_eq!(step(&mut new(), &[ONE / 2, ONE, 0, 0]), 0);
    assert_eq!(step(&mut new(), &[ONE / 2 - 1, ONE, 0, 0]), 1);
    assert_eq!(step(&mut new(), &[-ONE * 2 + 1, -ONE, -ONE * 9, -ONE * 9]), 0);
    assert_eq!(step(&mut new(), &[-ONE * 2 - 1, -ONE, -ONE * 9, -ONE * 9]), 1);
    // What was generated counts as well, however often, but once.
    let mut sampler = new();
    let row = [0, 0, 0, 0, 4 * ONE, 2 * ONE + 1];
    let tokens: Vec<_> = (0..4).map(|_| step(&mut sampler, &row)).collect();
    assert_eq!(tokens, [4, 5, 4, 4]);
    let mut encouraging = greedy(|s| s.repetition_penalty = q16("0.5"));
    assert_eq!(step(&mut encouraging, &[ONE, 0, ONE * 2 / 3, 0]), 2);
    // Half to even: 3/2 is 2, so it stays in front of 1 and equals 2.
    assert_eq!(step(&mut new(), &[1, 0, 3, 0]), 2);
    assert_eq!(step(&mut new(), &[2, 0, 3, 0]), 0);
}

#[test]
fn frequency_and_presence_count_only_what_was_generated() {
    let mut sampler = greedy(|s| s.frequency_penalty = q16("0.5"));
    let row = [0, ONE, 0, ONE / 4 - 1];
    // Token 1 falls to 1/2 and then to 0, below token 3 by then.
    let tokens: Vec<_> = (0..4).map(|_| step(&mut sampler, &row)).collect();
    assert_eq!(tokens, [1, 1, 3, 0]);
    let mut sampler = greedy(|s| s.presence_penalty = q16("0.5"));
    let tokens: Vec<_> = (0..4).map(|_| step(&mut sampler, &row)).collect();
    assert_eq!(tokens, [1, 1, 1, 1]);
    let mut sampler = greedy(|s| s.presence_penalty = q16("-1"));
    sampler.force(2);
    assert_eq!((sampler.position(), step(&mut sampler, &[0, ONE, ONE / 2, 0])), (1, 2));
}

#[test]
fn a_mask_leaves_only_what_it_allows() {
    let mut mask = Mask::none(4);
    mask.allow(0);
    mask.allow(2);
    let mut sampler = greedy(|s| s.logit_bias = [(1, q16("100"))].into());
    let choose = |sampler: &mut Sampler, row: &[i32], mask: &Mask| {
        sampler.step(row, Some(mask)).map(|choice| choice.token)
    };
    assert_eq!(choose(&mut sampler, &[1, 9, 2, 9, 9, 9], &mask), Ok(2));
    assert_eq!(choose(&mut sampler, &[i32::MIN, 9], &mask), Ok(0));
    for (row, mask) in [(&[1, 2][..], Mask::none(2)), (&[1, 2], Mask::none(0)), (&[1], Mask::all(0))] {
        assert_eq!(choose(&mut sampler, row, &mask), Err(SampleError::NothingAllowed));
    }
    let mut only_second = Mask::none(2);
    only_second.allow(1);
    assert_eq!(choose(&mut sampler, &[1], &only_second), Err(SampleError::NothingAllowed));
    assert_eq!(sampler.position(), 2, "a step that failed is none");
    let hot = Sampling { temperature: q16("100"), ..Sampling::default() };
    let mut sampler = crate::kit::sampler(hot);
    for _ in 0..1_000 {
        let token = choose(&mut sampler, &[-(1 << 30), 1 << 30, -(1 << 30), 0, 0], &mask).unwrap();
        assert!(mask.allows(token));
    }
}

#[test]
fn top_k_keeps_the_first_in_order() {
    let row = [3 * ONE, ONE, 2 * ONE, ONE, ONE];
    let kept = |top_k| drawn(Sampling { top_k, temperature: q16("5"), ..Sampling::default() }, &row);
    assert_eq!(kept(1), [0]);
    assert_eq!(kept(2), [0, 2]);
    assert_eq!(kept(3), [0, 1, 2]);
    assert_eq!(kept(4), [0, 1, 2, 3]);
    assert_eq!(kept(5), [0, 1, 2, 3, 4]);
    assert_eq!(kept(0), kept(1 << 20));
}

#[test]
fn top_p_keeps_the_shortest_beginning_that_reaches_it() {
    // Four equal tokens.
    let kept = |top_p, top_k| drawn(Sampling { top_p, top_k, ..Sampling::default() }, &[ONE; 4]);
    assert_eq!(kept(Share::ZERO, 0), [0]);
    assert_eq!(kept(share("0.25"), 0), [0]);
    assert_eq!(kept(Share(share("0.25").0 + 1), 0), [0, 1]);
    assert_eq!(kept(share("0.75"), 0), [0, 1, 2]);
    assert_eq!(kept(Share(Share::ONE.0 - 1), 0), [0, 1, 2, 3]);
    assert_eq!(kept(Share::ONE, 0), [0, 1, 2, 3]);
    // Of what top-k left.
    assert_eq!(kept(share("0.5"), 2), [0]);
    assert_eq!(kept(share("0.51"), 2), [0, 1]);
}

#[test]
fn min_p_compares_with_the_most_likely() {
    // e^-1 = 0.3679.
    let kept = |min_p| drawn(Sampling { min_p, ..Sampling::default() }, &[0, ONE, ONE]);
    assert_eq!(kept(share("0.3678")), [0, 1, 2]);
    assert_eq!(kept(share("0.3679")), [1, 2]);
    assert_eq!(kept(Share::ONE), [1, 2]);
}

#[test]
fn extreme_temperatures_are_well_defined() {
    let row = logits(1, 500, 4 * ONE);
    let most = step(&mut greedy(|_| ()), &row);
    assert_eq!(drawn(Sampling { temperature: Q16(1), ..Sampling::default() }, &row), [most]);
    assert!(drawn(Sampling { temperature: q16("100"), ..Sampling::default() }, &row).len() > 450);
    // Not valid, but no reason to panic.
    assert_eq!(drawn(Sampling { temperature: Q16(i32::MIN), ..Sampling::default() }, &row), [most]);
    let wild = Sampling {
        temperature: Q16(i32::MAX),
        top_k: u32::MAX,
        top_p: Share(u32::MAX),
        min_p: Share(u32::MAX),
        repetition_penalty: Q16(i32::MIN),
        frequency_penalty: Q16(i32::MIN),
        presence_penalty: Q16(i32::MIN),
        logit_bias: [(u32::MAX, Q16::ONE), (0, Q16(i32::MAX))].into(),
    };
    assert!(!drawn(wild, &row).is_empty());
}

#[test]
fn draws_depend_on_position_choice_seed_and_request_alone() {
    let hot = Sampling { temperature: q16("2"), ..Sampling::default() };
    let row = logits(2, 1_000, 2 * ONE);
    let run = |request: &TokenRequest, choice| {
        let mut sampler = Sampler::new(request, choice);
        (0..40).map(|_| step(&mut sampler, &row)).collect::<Vec<_>>()
    };
    let first = request(hot.clone());
    let tokens = run(&first, 0);
    assert_eq!(tokens, run(&first.clone(), 0));
    let mut others = vec![run(&first, 1), run(&first, 256)];
    let mut other = first.clone();
    other.seed.0[0] ^= 1;
    others.push(run(&other, 0));
    let mut other = first.clone();
    other.model = ModelRoot(Digest([8; 32]));
    others.push(run(&other, 0));
    others.push(tokens.clone());
    for (i, one) in others.iter().enumerate() {
        assert!(others[..i].iter().all(|two| one != two));
    }
    // Taken up again after ten tokens, on another machine.
    let mut again = Sampler::new(&first, 0);
    tokens[..10].iter().for_each(|token| again.force(*token));
    let rest: Vec<_> = (0..30).map(|_| step(&mut again, &row)).collect();
    assert_eq!(rest, tokens[10..]);
}

#[test]
fn penalties_survive_resumption() {
    let sampling = Sampling {
        repetition_penalty: q16("1.1"),
        frequency_penalty: q16("0.4"),
        presence_penalty: q16("0.3"),
        ..Sampling::default()
    };
    let mut whole = sampler(sampling.clone());
    let row = |i| logits(i, 300, ONE);
    let tokens: Vec<_> = (0..60).map(|i| step(&mut whole, &row(i))).collect();
    let mut again = sampler(sampling);
    for (i, token) in (0..).zip(&tokens) {
        if i % 3 == 1 {
            again.force(*token);
        } else {
            assert_eq!(step(&mut again, &row(i)), *token);
        }
    }
}

#[test]
fn what_is_reported_is_the_model_and_not_the_sampling() {
    let mut request = request(Sampling {
        temperature: q16("0.5"),
        top_k: 3,
        repetition_penalty: q16("1.5"),
        logit_bias: [(4, q16("20"))].into(),
        ..Sampling::default()
    });
    request.top_logprobs = Some(5);
    let mut sampler = Sampler::new(&request, 0);
    for i in 0..50 {
        let row = logits(i, 700, ONE);
        let choice = sampler.step(&row, None).unwrap();
        assert_eq!(choice.scored, Some(score(&row, choice.token, 5).unwrap()));
    }
    request.top_logprobs = None;
    assert_eq!(Sampler::new(&request, 0).step(&[1, 2], None).unwrap().scored, None);
}

#[test]
fn rows_of_impossible_length_are_refused() {
    let mut sampler = sampler(Sampling::default());
    assert_eq!(sampler.step(&[], None), Err(SampleError::NoLogits));
    let actual = (1 << 20) + 1;
    assert_eq!(sampler.step(&vec![0; actual], None), Err(SampleError::TooManyLogits { actual }));
    assert_eq!(sampler.position(), 0);
    let largest = vec![1 << 30; 1 << 20];
    assert!(sampler.step(&largest, None).unwrap().token < 1 << 20);
}
