//! What is said of honest hosts is harmless, and cheats are found: on made-up models, with the sampler itself.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{ModelRoot, Sampler, Seed, TokenRequest, score};
use freeway_primitives::Digest;

/// No noise at all.
const EXACT: Noise = Noise { gap: 0, rate: 1, allowance: [0; 3] };
const NAT: f64 = 65_536.0;

/// Numbers without a pattern.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }

    /// Bell-shaped, with a deviation of 1.
    fn bell(&mut self) -> f64 {
        ((0..4).map(|_| self.next()).sum::<f64>() - 2.0) * 3f64.sqrt()
    }
}

/// The logits of a text position by position, as models see it.
struct World {
    chance: Chance,
    vocabulary: usize,
    /// What the right model knows more than the small one, how far a coarse copy of it is off, and another machine: in
    /// nats.
    more: f64,
    coarse: f64,
    noise: f64,
}

/// The logits of one position.
struct Place {
    /// Of the right model.
    right: Vec<i32>,
    /// Of the right model on another machine.
    elsewhere: Vec<i32>,
    /// Of a model that knows less.
    small: Vec<i32>,
    /// Of the right one with errors.
    coarse: Vec<i32>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { chance: Chance(seed), vocabulary: 120, more: 0.8, coarse: 0.5, noise: 0.01 }
    }

    fn place(&mut self) -> Place {
        // Some places are certain, and some are open.
        let spread = 1.0 + 3.0 * self.chance.next();
        let mut near = |logits: &[f64], deviation: f64| -> Vec<f64> {
            logits.iter().map(|logit| logit + deviation * self.chance.bell()).collect()
        };
        let small = near(&vec![0.0; self.vocabulary], spread);
        let right = near(&small, self.more);
        let (elsewhere, coarse) = (near(&right, self.noise), near(&right, self.coarse));
        let [right, elsewhere, small, coarse] = [right, elsewhere, small, coarse]
            .map(|logits| logits.into_iter().map(|logit| (logit * NAT) as i32).collect());
        Place { right, elsewhere, small, coarse }
    }
}

fn sampler(sampling: &Sampling, seed: i64) -> Sampler {
    let mut request = TokenRequest::greedy(ModelRoot(Digest([7; 32])), vec![1], 64);
    (request.sampling, request.seed) = (sampling.clone(), Seed::of_number(seed));
    Sampler::new(&request, 0)
}

/// What a host does: the token it gives, and what it says of it.
type Host<'a> = &'a mut dyn FnMut(&Place, &mut Sampler) -> (u32, LogProb);

fn honest(place: &Place, sampler: &mut Sampler) -> (u32, LogProb) {
    let token = sampler.step(&place.elsewhere, None).unwrap().token;
    (token, score(&place.elsewhere, token, 0).unwrap().logprob)
}

/// Tokens of the small model, with the numbers of the right one.
fn rescored(place: &Place, sampler: &mut Sampler) -> (u32, LogProb) {
    let token = sampler.step(&place.small, None).unwrap().token;
    (token, score(&place.right, token, 0).unwrap().logprob)
}

/// Observes `count` tokens, or up to the first suspicion. Gives how many, and the suspicion.
fn watch(
    evidence: &mut Evidence,
    noise: &Noise,
    world: &mut World,
    sampling: &Sampling,
    count: usize,
    host: Host<'_>,
) -> (usize, Option<Suspicion>) {
    let mut sampler = sampler(sampling, world.chance.0 as i64);
    for observed in 0..count {
        let place = world.place();
        let (token, claimed) = host(&place, &mut sampler);
        let scored = score(&place.right, token, 20).unwrap();
        evidence.observe(
            noise,
            &Spoken {
                sampling,
                constrained: false,
                vocabulary: world.vocabulary as u32,
                token,
                claimed: Some(claimed),
                scored: &scored,
            },
        );
        if let Some(suspicion) = evidence.suspicion(THRESHOLD) {
            return (observed + 1, Some(suspicion));
        }
    }
    (count, None)
}

/// The noise of the made-up models, as it is measured.
fn measured(tokens: usize) -> Option<Noise> {
    let mut calibration = Calibration::default();
    let mut world = World::new(99);
    let sampling = Sampling::default();
    let mut sampler = sampler(&sampling, 5);
    for _ in 0..tokens {
        let place = world.place();
        let (token, claimed) = honest(&place, &mut sampler);
        let scored = score(&place.right, token, 20).unwrap();
        let (vocabulary, claimed) = (world.vocabulary as u32, Some(claimed));
        let spoken =
            Spoken { sampling: &sampling, constrained: false, vocabulary, token, claimed, scored: &scored };
        calibration.observe(&spoken);
    }
    calibration.noise()
}

static NOISE: LazyLock<Noise> = LazyLock::new(|| measured(20_000).unwrap());

/// The ways to draw that are tried.
fn samplings() -> [Sampling; 6] {
    let plain = Sampling::default();
    [
        plain.clone(),
        Sampling { temperature: Q16(45_875), ..plain.clone() },
        Sampling { temperature: Q16(78_643), ..plain.clone() },
        Sampling { top_p: Share((1 << 30) / 10 * 9), ..plain.clone() },
        Sampling { top_k: 12, ..plain.clone() },
        Sampling { min_p: Share((1 << 30) / 20), ..plain },
    ]
}

#[test]
fn honest_hosts_are_never_suspected() {
    let noise = *NOISE;
    for (index, sampling) in samplings().iter().chain([&Sampling::greedy()]).enumerate() {
        for host in 0..4 {
            let mut evidence = Evidence::default();
            let mut world = World::new(1_000 * index as u64 + host);
            let (_, suspicion) = watch(&mut evidence, &noise, &mut world, sampling, 4_000, &mut honest);
            assert_eq!(suspicion, None, "{sampling:?} {evidence:?}");
        }
    }
}

#[test]
fn a_small_model_is_found_however_honestly_its_tokens_are_scored() {
    let noise = *NOISE;
    for sampling in samplings() {
        let mut evidence = Evidence::default();
        let (tokens, suspicion) =
            watch(&mut evidence, &noise, &mut World::new(7), &sampling, 20_000, &mut rescored);
        assert!(
            matches!(suspicion, Some(Suspicion::Surprising | Suspicion::Missed)),
            "{tokens} {sampling:?} {evidence:?}"
        );
    }
}

#[test]
fn a_small_model_is_found_where_nothing_is_drawn() {
    let (noise, greedy) = (*NOISE, Sampling::greedy());
    let found = watch(&mut Evidence::default(), &noise, &mut World::new(7), &greedy, 1_000, &mut rescored);
    assert!(found.0 < 300 && found.1 == Some(Suspicion::Missed), "{found:?}");
}

/// The limit of the method: errors without a direction make tokens that surprise as much as they should. Where nothing
/// is drawn, and by what it says itself, it is found all the same.
#[test]
fn a_coarse_copy_is_found_by_greedy_requests_alone() {
    let (noise, plain, greedy) = (*NOISE, Sampling::default(), Sampling::greedy());
    let mut hidden = |place: &Place, sampler: &mut Sampler| {
        let token = sampler.step(&place.coarse, None).unwrap().token;
        (token, score(&place.right, token, 0).unwrap().logprob)
    };
    let watch = |sampling, host: Host<'_>| {
        super::tests::watch(&mut Evidence::default(), &noise, &mut World::new(8), sampling, 1_000, host)
    };
    assert_eq!(watch(&plain, &mut hidden).1, None);
    let found = watch(&greedy, &mut hidden);
    assert!(found.0 < 300 && found.1 == Some(Suspicion::Missed), "{found:?}");
    let found = watch(&plain, &mut |place, sampler| {
        let token = sampler.step(&place.coarse, None).unwrap().token;
        (token, score(&place.coarse, token, 0).unwrap().logprob)
    });
    assert!(found.0 < 60 && found.1 == Some(Suspicion::Forged), "{found:?}");
}

#[test]
fn forged_likelihoods_are_found() {
    let (noise, sampling) = (*NOISE, Sampling::default());
    // Those of the small model; made-up ones; none.
    let mut own = |place: &Place, sampler: &mut Sampler| {
        let token = sampler.step(&place.small, None).unwrap().token;
        (token, score(&place.small, token, 0).unwrap().logprob)
    };
    let mut made_up = |place: &Place, sampler: &mut Sampler| {
        let (token, _) = honest(place, sampler);
        (token, LogProb(-700_000))
    };
    let hosts: [Host<'_>; 2] = [&mut own, &mut made_up];
    for host in hosts {
        let found = watch(&mut Evidence::default(), &noise, &mut World::new(3), &sampling, 500, host);
        assert!(found.0 < 60 && found.1 == Some(Suspicion::Forged), "{found:?}");
    }
}

#[test]
fn who_does_not_draw_is_found() {
    let (noise, sampling) = (*NOISE, Sampling::default());
    let mut greedy = |place: &Place, _: &mut Sampler| {
        let scored = score(&place.elsewhere, 0, 1).unwrap();
        scored.top[0]
    };
    let found = watch(&mut Evidence::default(), &noise, &mut World::new(4), &sampling, 1_000, &mut greedy);
    assert_eq!(found.1, Some(Suspicion::Predictable), "{found:?}");
}

#[test]
fn honest_years_are_no_credit() {
    let (noise, sampling) = (*NOISE, Sampling::default());
    let mut evidence = Evidence::default();
    watch(&mut evidence, &noise, &mut World::new(5), &sampling, 10_000, &mut honest);
    let late = watch(&mut evidence, &noise, &mut World::new(6), &sampling, 20_000, &mut rescored);
    let fresh = watch(&mut Evidence::default(), &noise, &mut World::new(6), &sampling, 20_000, &mut rescored);
    assert!(late.1.is_some() && late.0 <= fresh.0, "{late:?} {fresh:?}");
}

#[test]
fn what_is_measured_is_narrow_and_needs_tokens() {
    assert_eq!(measured(LEAST_TOKENS - 1), None);
    let noise = *NOISE;
    // Differences of 0.01 nat.
    assert!((20_000..90_000).contains(&noise.gap), "{noise:?}");
    assert!((1_000..5_000).contains(&noise.rate), "{noise:?}");
    assert!(noise.allowance.iter().all(|allowance| (100..20_000).contains(allowance)), "{noise:?}");
}

#[test]
fn what_changes_the_distribution_says_nothing_about_it() {
    let scored = score(&[0, 65_536, 30_000], 0, 3).unwrap();
    let bias = Sampling { logit_bias: [(1, Q16::ONE)].into(), ..Sampling::default() };
    for (sampling, constrained) in [(bias, false), (Sampling::default(), true)] {
        let claimed = Some(scored.logprob);
        let spoken =
            Spoken { sampling: &sampling, constrained, vocabulary: 3, token: 0, claimed, scored: &scored };
        let ratios = Ratios::new(&EXACT, &spoken);
        assert_eq!((ratios.bets, ratios.missed), ([None; 3], None));
        assert!(ratios.forged.unwrap() < 0);
    }
}

/// The probability of each token by the contract, apart from rounding.
fn probabilities(logits: &[i32], sampling: &Sampling) -> Vec<f64> {
    let temperature = f64::from(sampling.temperature.0) / NAT;
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by_key(|token| (core::cmp::Reverse(logits[*token]), *token));
    let most = logits[order[0]];
    let weight = |token: usize| (-f64::from(most.abs_diff(logits[token])) / NAT / temperature).exp();
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k as usize);
    }
    let total: f64 = order.iter().map(|token| weight(*token)).sum();
    let target = total * f64::from(sampling.top_p.0) / f64::from(1u32 << 30);
    let mut sum = 0.0;
    let kept = order.iter().take_while(|token| {
        let goes_on = sum < target || sum == 0.0;
        sum += weight(**token);
        goes_on
    });
    let kept: Vec<usize> = kept.copied().collect();
    let least = f64::from(sampling.min_p.0) / f64::from(1u32 << 30);
    let mut all = vec![0.0; logits.len()];
    kept.iter().filter(|token| weight(**token) >= least).for_each(|token| all[*token] = weight(*token));
    let total: f64 = all.iter().sum();
    all.iter().map(|weight| weight / total).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the distribution, and however few of its tokens are known, an honest token gives each part a ratio whose
    /// expectation is at most 1.
    #[test]
    fn ratios_are_fair(
        seed in any::<u64>(),
        vocabulary in 2usize..300,
        spread in 0.0f64..4.0,
        temperature in prop_oneof![3_000i32..200_000, Just(65_536)],
        top_k in prop_oneof![Just(0u32), 1u32..40],
        top_p in prop_oneof![Just(Share::ONE), (0u32..1 << 30).prop_map(Share)],
        min_p in prop_oneof![Just(Share::ZERO), (0u32..1 << 29).prop_map(Share)],
        top in 1u8..=20,
        rate in prop_oneof![Just(1u32), 1u32..100_000],
    ) {
        let mut chance = Chance(seed);
        let logits: Vec<i32> = (0..vocabulary).map(|_| (spread * chance.bell() * NAT) as i32).collect();
        let sampling = Sampling { temperature: Q16(temperature), top_k, top_p, min_p, ..Sampling::default() };
        let mut expected = [0.0; 4];
        for (token, probability) in (0u32..).zip(probabilities(&logits, &sampling)) {
            let scored = score(&logits, token, top).unwrap();
            let spoken = Spoken {
                sampling: &sampling,
                constrained: false,
                vocabulary: vocabulary as u32,
                token,
                claimed: Some(scored.logprob),
                scored: &scored,
            };
            let ratios = Ratios::new(&Noise { rate, ..EXACT }, &spoken);
            let parts = [ratios.bets[0], ratios.bets[1], ratios.bets[2], ratios.missed];
            for (sum, ratio) in expected.iter_mut().zip(parts) {
                *sum += probability * (ratio.unwrap_or(0) as f64 / 1e6).exp();
            }
        }
        prop_assert!(expected.iter().all(|ratio| *ratio < 1.001), "{expected:?}");
    }

    /// Whatever a server says of likelihoods, nothing breaks.
    #[test]
    fn any_score_is_taken(
        top in prop::collection::vec((any::<u32>(), any::<i32>().prop_map(LogProb)), 0..30),
        logprob in any::<i32>(),
        claimed in prop::option::of(any::<i32>().prop_map(LogProb)),
        (token, vocabulary, rank) in (any::<u32>(), any::<u32>(), any::<u32>()),
        (temperature, top_k, top_p, min_p) in (any::<i32>(), any::<u32>(), any::<u32>(), any::<u32>()),
        (gap, rate, allowance) in (any::<u32>(), any::<u32>(), any::<[u32; 3]>()),
    ) {
        let sampling = Sampling {
            temperature: Q16(temperature),
            top_k,
            top_p: Share(top_p),
            min_p: Share(min_p),
            ..Sampling::default()
        };
        let scored = Scored { logprob: LogProb(logprob), rank, top };
        let spoken = Spoken { sampling: &sampling, constrained: false, vocabulary, token, claimed, scored: &scored };
        let mut evidence = Evidence::default();
        for _ in 0..3 {
            evidence.observe(&Noise { gap, rate, allowance }, &spoken);
        }
        prop_assert!(i64::from(evidence.strongest().1) <= MOST);
        let mut calibration = Calibration::default();
        (0..LEAST_TOKENS).for_each(|_| calibration.observe(&spoken));
        prop_assert_eq!(calibration.noise().is_some(), claimed.is_some());
    }
}
