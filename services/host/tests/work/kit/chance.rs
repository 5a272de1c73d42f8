//! A model of which only likelihoods can be judged: a distribution over a few tokens that follows from what came before.

use freeway_api::serving::{Artifact, Claims};
use freeway_ledger::models::{Description, Tier};
use freeway_primitives::{Digest, Domain};
use freeway_requests::evidence::Noise;
use freeway_requests::{LogProb, MAX_TOP_LOGPROBS, ModelRoot, Sampling, Scored, TokenRequest, score};

use super::{MODEL, Net, PRICES, Quality, text};

/// The tokens there are.
pub(crate) const VOCABULARY: u32 = 64;
/// The tokens of each answer.
pub(crate) const ANSWER: u32 = 12;
/// As between machines that differ by rounding alone.
pub(crate) const NOISE: Noise = Noise { gap: 2_000, rate: 1_000, allowance: [1_000, 3_000, 3_000] };

pub(super) fn description() -> Description {
    Description {
        name: text("a-likely-model"),
        tier: Tier::Statistical,
        context: 4_096,
        vocabulary: VOCABULARY,
        work: 1_000_000,
        prices: PRICES,
        noise: Some(NOISE),
    }
}

/// The request with this number: every other one is greedy, or all are.
pub(super) fn request(number: u32, all_greedy: bool) -> TokenRequest {
    let prompt = vec![1, 2, number / VOCABULARY, number % VOCABULARY];
    let greedy = TokenRequest::greedy(ModelRoot(MODEL), prompt, ANSWER);
    if all_greedy || number.is_multiple_of(2) {
        return greedy;
    }
    TokenRequest { sampling: Sampling::default(), ..greedy }
}

/// Numbers from 0 to 1 that follow from what came before, one for each token.
fn shares(role: &'static str, before: &[u32]) -> Vec<f64> {
    let bytes: Vec<u8> = before.iter().flat_map(|token| token.to_le_bytes()).collect();
    let domain = |part: u8| Digest::of(Domain::new(role), &[&bytes[..], &[part]].concat()).0;
    let all = [domain(0), domain(1)].concat();
    all.into_iter().map(|byte| f64::from(byte) / 255.0).collect()
}

/// The logits of the right model or of a coarse one.
fn logits(before: &[u32], is_coarse: bool) -> Vec<i32> {
    let error = if is_coarse { 2.0 } else { 0.0 };
    let errors = shares("test errors", before);
    let all = shares("test logits", before).into_iter().zip(errors);
    all.map(|(logit, other)| ((6.0 * logit + error * other) * 65_536.0) as i32).collect()
}

fn scored(before: &[u32], token: u32, is_coarse: bool) -> Scored {
    score(&logits(before, is_coarse), token, MAX_TOP_LOGPROBS).unwrap()
}

fn generate(request: &TokenRequest, is_coarse: bool) -> Vec<u32> {
    let mut all = request.prompt.clone();
    for _ in 0..request.max_tokens {
        let logits = logits(&all, is_coarse);
        let most = *logits.iter().max().unwrap();
        let weights: Vec<f64> =
            logits.iter().map(|logit| (f64::from(logit - most) / 65_536.0).exp()).collect();
        let mut left = shares("test draws", &all)[0] * weights.iter().sum::<f64>();
        let drawn = weights.iter().position(|weight| {
            left -= weight;
            left <= 0.0
        });
        let likeliest = logits.iter().position(|logit| *logit == most);
        let token = if request.sampling.is_greedy() { likeliest } else { drawn };
        all.push(token.unwrap_or_default() as u32);
    }
    all.split_off(request.prompt.len())
}

/// What a host of this quality answers and claims.
pub(super) fn answer(quality: Quality, request: &TokenRequest) -> (Vec<u32>, Vec<i32>) {
    let mut tokens = generate(request, matches!(quality, Quality::Coarse | Quality::Rescored));
    if quality == Quality::Short {
        tokens.truncate(tokens.len() / 2);
    }
    let all = [&request.prompt[..], &tokens].concat();
    let claim = |i: usize| {
        let before = &all[..request.prompt.len() + i];
        let LogProb(logprob) = scored(before, tokens[i], quality == Quality::Coarse).logprob;
        if quality == Quality::Forged { (logprob + 500_000).min(0) } else { logprob }
    };
    let claims = (0..tokens.len()).map(claim).collect();
    (tokens, claims)
}

/// What a verifier finds.
pub(crate) fn scores(artifact: &Artifact) -> Vec<Scored> {
    let [tokens] = &artifact.output[..] else { panic!("one choice is asked for") };
    let all = [&artifact.request.prompt[..], tokens].concat();
    let before = |i: usize| &all[..artifact.request.prompt.len() + i];
    (0..tokens.len()).map(|i| scored(before(i), tokens[i], false)).collect()
}

/// The claims of an artifact with one choice.
pub(super) fn claims(salt: [u8; 32], logprobs: Vec<i32>) -> Claims {
    Claims { salt, logprobs: vec![logprobs] }
}

impl Net {
    /// Hosts of these qualities, with a model of the statistical tier.
    pub(crate) fn of_chance(qualities: &[Quality]) -> Self {
        let mut net = Self::serving(&vec![None; qualities.len()], description());
        for (node, quality) in net.nodes.iter_mut().zip(qualities) {
            node.quality = *quality;
        }
        net
    }
}
