//! What the tests share.

use freeway_primitives::Digest;
use freeway_requests::{ModelRoot, Q16, Sampler, Sampling, Seed, Share, TokenRequest};

/// A request with these parameters.
pub(crate) fn request(sampling: Sampling) -> TokenRequest {
    let mut request = TokenRequest::greedy(ModelRoot(Digest([7; 32])), vec![1, 2, 3], 64);
    request.sampling = sampling;
    request.seed = Seed::of_number(42);
    request
}

/// The first choice of it.
pub(crate) fn sampler(sampling: Sampling) -> Sampler {
    Sampler::new(&request(sampling), 0)
}

/// A fixed-point number.
pub(crate) fn q16(text: &str) -> Q16 {
    Q16::from_decimal(text).unwrap()
}

/// A share.
pub(crate) fn share(text: &str) -> Share {
    Share::from_decimal(text).unwrap()
}

/// Logits of a vocabulary, the same for the same number: bell-shaped with a deviation of about `spread / 2^16` nat.
pub(crate) fn logits(number: u64, vocabulary: usize, spread: i32) -> Vec<i32> {
    let mut output =
        blake3::Hasher::new_derive_key("test logits").update(&number.to_le_bytes()).finalize_xof();
    let mut bytes = vec![0; vocabulary * 8];
    output.fill(&mut bytes);
    let parts = |eight: &[u8]| eight.iter().map(|byte| i64::from(*byte)).sum::<i64>() - 1_020;
    // The sum of eight bytes has a deviation of 209.
    bytes.chunks_exact(8).map(|eight| (parts(eight) * i64::from(spread) / 209) as i32).collect()
}
