//! Draws are as likely as they should be.

use freeway_requests::{Sampler, Sampling, Seed};

use crate::kit::{q16, request, share};

const DRAWS: u32 = 100_000;
/// In units of 2^-16 nat: probabilities 0.57, 0.21, 0.13, 0.05, 0.03, 0.01 and less.
const ROW: [i32; 7] = [-65_536, 98_304, 32_768, 196_608 / 3 * 2, 0, -300_000, 196_608];

/// The statistic of counts against the softmax of `ROW` at `temperature`, over the tokens that `stay`.
fn chi_square(counts: &[u32; 7], temperature: f64, stay: &[usize]) -> f64 {
    let weight = |token: usize| (f64::from(ROW[token]) / 65_536.0 / temperature).exp();
    let total: f64 = stay.iter().map(|token| weight(*token)).sum();
    assert_eq!(stay.iter().map(|token| counts[*token]).sum::<u32>(), DRAWS, "{counts:?}");
    stay.iter()
        .map(|token| {
            let expected = weight(*token) / total * f64::from(DRAWS);
            (f64::from(counts[*token]) - expected).powi(2) / expected
        })
        .sum()
}

fn count(sampling: Sampling) -> [u32; 7] {
    let mut sampler = Sampler::new(&request(sampling), 0);
    let mut counts = [0; 7];
    for _ in 0..DRAWS {
        counts[sampler.step(&ROW, None).unwrap().token as usize] += 1;
    }
    counts
}

// The limits are the 99.9th percentiles for the degrees of freedom. Streams are fixed, so a pass is a pass.

#[test]
fn positions_draw_from_the_softmax() {
    assert!(chi_square(&count(Sampling::default()), 1.0, &[0, 1, 2, 3, 4, 5, 6]) < 22.46);
}

#[test]
fn temperature_flattens() {
    let sampling = Sampling { temperature: q16("2.5"), ..Sampling::default() };
    assert!(chi_square(&count(sampling), 2.5, &[0, 1, 2, 3, 4, 5, 6]) < 22.46);
}

#[test]
fn what_stays_keeps_its_proportions() {
    let top_k = Sampling { top_k: 3, ..Sampling::default() };
    assert!(chi_square(&count(top_k), 1.0, &[1, 3, 6]) < 13.82);
    let top_p = Sampling { top_p: share("0.8"), ..Sampling::default() };
    assert!(chi_square(&count(top_p), 1.0, &[1, 3, 6]) < 13.82);
    let min_p = Sampling { min_p: share("0.07"), ..Sampling::default() };
    assert!(chi_square(&count(min_p), 1.0, &[1, 2, 3, 6]) < 16.27);
}

#[test]
fn choices_and_seeds_draw_from_the_softmax_too() {
    let mut request = request(Sampling::default());
    let (mut by_choice, mut by_seed) = ([0; 7], [0; 7]);
    for number in 0..DRAWS {
        // 100 choices of 1,000 seeds.
        request.seed = Seed::of_number(i64::from(number / 100));
        let mut sampler = Sampler::new(&request, (number % 100) as u16);
        by_choice[sampler.step(&ROW, None).unwrap().token as usize] += 1;
        request.seed = Seed::of_number(-i64::from(number));
        let mut sampler = Sampler::new(&request, 0);
        by_seed[sampler.step(&ROW, None).unwrap().token as usize] += 1;
    }
    for counts in [by_choice, by_seed] {
        assert!(chi_square(&counts, 1.0, &[0, 1, 2, 3, 4, 5, 6]) < 22.46);
    }
}
