//! Requests, choices and scores, frozen: `tests/golden/vectors.txt` is the contract.

use std::path::Path;

use freeway_primitives::{Canonical, Digest};
use freeway_requests::{
    Grammar, GrammarKind, Mask, ModelRoot, Q16, Sampler, Sampling, Seed, Share, TokenRequest, score,
};

use crate::kit::{logits, q16, request, share};
use crate::vectors::Vectors;

const ONE: i32 = 65_536;

fn combinations() -> Vec<(&'static str, Sampling)> {
    let warm = |change: fn(&mut Sampling)| {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        sampling
    };
    vec![
        ("greedy", Sampling::greedy()),
        ("default", Sampling::default()),
        ("cold", warm(|s| s.temperature = q16("0.1"))),
        ("coldest", warm(|s| s.temperature = Q16(1))),
        ("hot", warm(|s| s.temperature = q16("100"))),
        ("top-k", warm(|s| s.top_k = 20)),
        ("top-k-large", warm(|s| s.top_k = 700)),
        ("top-p", warm(|s| s.top_p = share("0.9"))),
        ("top-p-wide", warm(|s| (s.temperature, s.top_p) = (q16("1.7"), share("0.98")))),
        ("top-p-zero", warm(|s| s.top_p = Share::ZERO)),
        ("min-p", warm(|s| s.min_p = share("0.05"))),
        ("usual", warm(|s| (s.temperature, s.top_k, s.top_p) = (q16("0.7"), 20, share("0.8")))),
        ("repetition", warm(|s| s.repetition_penalty = q16("1.3"))),
        ("encouraged", warm(|s| s.repetition_penalty = q16("0.7"))),
        ("frequency", warm(|s| (s.frequency_penalty, s.presence_penalty) = (q16("0.6"), q16("-0.3")))),
        ("bias", warm(|s| s.logit_bias = [(3, q16("7.25")), (4, q16("-100")), (999, q16("6"))].into())),
        (
            "everything",
            Sampling {
                temperature: q16("0.85"),
                top_k: 50,
                top_p: share("0.95"),
                min_p: share("0.02"),
                repetition_penalty: q16("1.05"),
                frequency_penalty: q16("0.2"),
                presence_penalty: q16("0.1"),
                logit_bias: [(7, q16("2.5")), (11, q16("-1.125"))].into(),
            },
        ),
    ]
}

fn requests(vectors: &mut Vectors) {
    for (name, sampling) in combinations() {
        let request = request(sampling);
        assert_eq!(request.validate(1_000), Ok(()));
        vectors.add_with(format!("request.{name}"), &request.encode(), request.digest());
    }
    let full = TokenRequest {
        model: ModelRoot(Digest([9; 32])),
        prompt: vec![151_643, 0, 151_643],
        max_tokens: 65_536,
        choices: 128,
        sampling: Sampling::default(),
        stop: [151_645, 2].into(),
        grammar: None,
        top_logprobs: Some(20),
        seed: Seed::of_number(-1),
    };
    for (name, kind, source) in [
        ("object", GrammarKind::JsonObject, ""),
        ("schema", GrammarKind::JsonSchema, "{\"type\":\"object\"}"),
        ("regex", GrammarKind::Regex, "(ja|nö)"),
        ("lark", GrammarKind::Lark, "start: \"a\"+"),
    ] {
        let request =
            TokenRequest { grammar: Some(Grammar { kind, source: source.to_owned() }), ..full.clone() };
        assert_eq!(request.validate(151_936), Ok(()));
        vectors.add_with(format!("request.{name}"), &request.encode(), request.digest());
    }
    vectors.add("seed.0", &Seed::of_number(0).0);
}

/// Tokens over a vocabulary of 1,000, under a mask at every third position.
fn choices(vectors: &mut Vectors) {
    let mask = Mask::from_words((0..32u32).map(|i| 0x9e37_79b9u32.wrapping_mul(i + 1)).collect(), 1_000);
    for (name, sampling) in combinations() {
        for choice in [0, 1] {
            let mut sampler = Sampler::new(&request(sampling.clone()), choice);
            let step = |position: u64| {
                let row = logits(position % 5, 1_000, ONE);
                let mask = Some(&mask).filter(|_| position % 3 == 2);
                sampler.step(&row, mask).unwrap().token.to_string()
            };
            let tokens: Vec<_> = (0..24).map(step).collect();
            vectors.add_with(format!("tokens.{name}.{choice}"), &choice.to_le_bytes(), tokens.join(","));
        }
    }
}

/// As large as the vocabularies of real models, with the tails that they have.
fn large(vectors: &mut Vectors) {
    for (name, sampling) in combinations() {
        let mut request = request(sampling);
        request.top_logprobs = Some(2);
        let mut sampler = Sampler::new(&request, 5);
        let mut shown = Vec::new();
        for position in 0..3 {
            let row = logits(100 + position, 151_936, 2 * ONE);
            let choice = sampler.step(&row, None).unwrap();
            let scored = choice.scored.unwrap();
            shown.push(format!("{}:{}:{}", choice.token, scored.logprob, scored.rank));
        }
        vectors.add_with(format!("large.{name}"), &[5], shown.join(","));
    }
}

fn scores(vectors: &mut Vectors) {
    for spread in [1, ONE / 8, ONE, 10 * ONE, 1 << 28] {
        let row = logits(spread as u64, 1_000, spread);
        let mut bytes = Vec::new();
        for token in 0..1_000 {
            let scored = score(&row, token, 0).unwrap();
            bytes.extend(scored.logprob.0.to_le_bytes());
            bytes.extend(scored.rank.to_le_bytes());
        }
        let top = score(&row, 0, 5).unwrap().top;
        let top: Vec<_> = top.iter().map(|(token, logprob)| format!("{token}:{logprob}")).collect();
        vectors.add_with(format!("scores.{spread}"), &bytes, top.join(","));
    }
}

#[test]
fn golden_vectors_are_what_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vectors.txt");
    let mut vectors = Vectors::new("freeway-requests", path);
    requests(&mut vectors);
    choices(&mut vectors);
    large(&mut vectors);
    scores(&mut vectors);
    vectors.check();
}
