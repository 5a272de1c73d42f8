//! The numbers of `docs/protocol/penalties.md`: with the parameters of the presets, faking work loses money.

use freeway_ledger::Preset;
use freeway_ledger::weights::MAX_REPUTATION;
use freeway_primitives::Amount;

/// Of a fee of 1, what a host gets: its part, and at most the training fund's part from emission.
fn revenue(preset: Preset) -> f64 {
    let lanes = preset.params().lanes;
    (lanes.executor_parts + lanes.training_parts) as f64 / 100.0
}

/// The least number of samples that a commitment ever has.
fn least_samples(preset: Preset) -> u32 {
    let work = preset.params().work;
    (0..=MAX_REPUTATION).flat_map(|r| [work.samples(r, true), work.samples(r, false)]).min().unwrap()
}

/// The chance that at least one point lies in the faked fraction.
fn hit(faked: f64, samples: u32) -> f64 {
    1.0 - (1.0 - faked).powi(samples as i32)
}

/// By how much honest work is better than faking, per unit of fees, if the host hides what is hit.
fn advantage(preset: Preset, cost: f64, passes: f64, faked: f64, samples: u32) -> f64 {
    revenue(preset) * (1.0 - passes) * hit(faked, samples) - cost * faked
}

fn fractions() -> impl Iterator<Item = f64> {
    (1..=1_000).map(|thousandths| f64::from(thousandths) / 1_000.0)
}

fn binomial(n: u32, k: u32, p: f64) -> f64 {
    let ways = (0..k).fold(1.0, |ways, i| ways * f64::from(n - i) / f64::from(i + 1));
    ways * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
}

/// The chance that a fake passes, if friends of the host must be the majority of those who say anything in the first
/// committee, or else in both together.
fn passes(friends: f64, silent: f64) -> f64 {
    let committee = |of_friends: u32, of_honest: u32| {
        let others = 3 - of_friends;
        let speaks = (1.0 - friends - silent) / (1.0 - friends);
        binomial(3, of_friends, friends) * binomial(others, of_honest, speaks)
    };
    let pairs = || (0..=3u32).flat_map(|friends| (0..=3 - friends).map(move |honest| (friends, honest)));
    let (mut passed, mut second) = (0.0, 0.0);
    for (friends, honest) in pairs() {
        let first = committee(friends, honest);
        if friends > honest {
            passed += first;
            continue;
        }
        for (more, against) in pairs() {
            let together = first * committee(more, against);
            second += if friends + more > honest + against { together } else { 0.0 };
        }
    }
    passed + second
}

#[test]
fn a_fake_passes_as_often_as_the_page_says() {
    let ten_thousandths = |silent| move |friends| (passes(friends, silent) * 10_000.0).round() as u32;
    let friends = [0.01, 0.05, 0.1, 0.2, 0.3, 1.0 / 3.0];
    assert_eq!(friends.map(ten_thousandths(0.0)), [3, 73, 282, 1_071, 2_279, 2_757]);
    assert_eq!(friends.map(ten_thousandths(0.1)), [6, 91, 336, 1_268, 2_709, 3_274]);
    assert!(passes(0.19, 0.0) < 0.1 && passes(0.2, 0.0) > 0.1);
    for preset in Preset::ALL {
        let params = preset.params().verification;
        assert_eq!((params.committee, params.max_rounds), (3, 2));
    }
}

#[test]
fn the_presets_are_those_of_the_derivation() {
    for preset in Preset::ALL {
        let params = preset.params();
        assert!((revenue(preset) - 0.95).abs() < 1e-9);
        assert_eq!(least_samples(preset), params.work.samples_least);
        assert_eq!((params.work.samples_least, params.verification.committee), (4, 3));
        let new = if preset == Preset::Local { 8 } else { 32 };
        assert_eq!((params.work.samples(0, true), params.work.samples(30, false)), (new, new));
        assert_eq!((params.work.exposure_percent, params.verification.conviction_thousandths), (20, 200));
        assert_eq!(params.rewards.forfeit_thousandths, 1_000);
    }
}

/// The first way: hiding what is hit. For every fraction, at the lowest rate and at every other, as long as the margin
/// of honest work is larger than the chance that a fake passes.
#[test]
fn faking_loses_at_every_fraction_and_rate() {
    for preset in Preset::ALL {
        for passes in [0.0, 0.001, 0.03, 0.1, 0.3] {
            // A thousandth above the edge.
            let cost = revenue(preset) * (1.0 - passes) * 0.999;
            for samples in [1, least_samples(preset), preset.params().work.samples_most] {
                for faked in fractions() {
                    let better = advantage(preset, cost, passes, faked, samples);
                    assert!(better > 0.0, "{faked} of fees, {samples} samples, {passes} pass: {better}");
                }
            }
            // And the edge is where the page says it is.
            let cost = revenue(preset) * (1.0 - passes) * 1.001;
            assert!(advantage(preset, cost, passes, 1.0, least_samples(preset)) < 0.0);
        }
    }
}

#[test]
fn a_fake_is_hit_as_often_as_the_page_says() {
    let samples = least_samples(Preset::Main);
    let every = |faked| (1.0 / hit(faked, samples)).round() as u32;
    assert_eq!((every(1.0), every(0.1), every(0.01)), (1, 3, 25));
}

/// The second way: a conviction takes at least as much collateral as there are open fees, and these as well. In base units.
#[test]
fn a_conviction_costs_at_least_twice_what_was_open() {
    for preset in Preset::ALL {
        let params = preset.params();
        for stake in [1_000_000_000_000_000u128, 1 << 70, u128::MAX / 1_000] {
            let open = params.work.exposure(Amount(stake));
            assert!(open > params.work.free_fees);
            let taken = Amount(stake).fraction(params.verification.conviction_thousandths, 1_000).unwrap();
            assert!(taken >= open, "{taken} for {open}");
            // What an accuser in league gets back is a small part of it.
            assert!(params.verification.bounty_thousandths <= 100);
        }
        // Found with a chance of 0.52, it loses even to a host whose honest work has no margin; a tenth of what is taken
        // may come back.
        let (chance, cost) = (0.52, revenue(preset));
        assert!(chance * (revenue(preset) + 0.9) > cost);
    }
}

/// Fees to oneself, as verifier of everything, with the most emission for serving.
#[test]
fn self_dealing_returns_at_most_what_it_costs() {
    for preset in Preset::ALL {
        let lanes = preset.params().lanes;
        assert_eq!(lanes.executor_parts + lanes.verifier_parts + lanes.training_parts, 100);
    }
}
