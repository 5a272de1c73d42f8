//! One encoding per request, and no others.

use freeway_primitives::{Canonical, DecodeError, Digest};
use freeway_requests::{Grammar, GrammarKind, ModelRoot, Q16, Sampling, Seed, Share, TokenRequest};
use proptest::prelude::*;

fn grammar() -> impl Strategy<Value = Grammar> {
    let kind = prop_oneof![
        Just(GrammarKind::JsonObject),
        Just(GrammarKind::JsonSchema),
        Just(GrammarKind::Regex),
        Just(GrammarKind::Lark),
    ];
    (kind, ".{0,40}").prop_map(|(kind, source)| Grammar { kind, source })
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let bias = proptest::collection::btree_map(any::<u32>(), any::<i32>().prop_map(Q16), 0..9);
    let numbers = any::<(i32, u32, u32, u32, i32, i32, i32)>();
    (numbers, bias).prop_map(
        |((temperature, top_k, top_p, min_p, repetition, frequency, presence), logit_bias)| Sampling {
            temperature: Q16(temperature),
            top_k,
            top_p: Share(top_p),
            min_p: Share(min_p),
            repetition_penalty: Q16(repetition),
            frequency_penalty: Q16(frequency),
            presence_penalty: Q16(presence),
            logit_bias,
        },
    )
}

fn request() -> impl Strategy<Value = TokenRequest> {
    let prompt = proptest::collection::vec(any::<u32>(), 0..20);
    let stop = proptest::collection::btree_set(any::<u32>(), 0..9);
    let rest = (sampling(), proptest::option::of(grammar()), any::<Option<u8>>());
    (any::<([u8; 32], u32, u16, [u8; 32])>(), prompt, stop, rest).prop_map(
        |((model, max_tokens, choices, seed), prompt, stop, (sampling, grammar, top_logprobs))| {
            TokenRequest {
                model: ModelRoot(Digest(model)),
                prompt,
                max_tokens,
                choices,
                sampling,
                stop,
                grammar,
                top_logprobs,
                seed: Seed(seed),
            }
        },
    )
}

proptest! {
    #[test]
    fn requests_survive_encoding(request in request()) {
        let bytes = request.encode();
        prop_assert_eq!(TokenRequest::decode(&bytes), Ok(request.clone()));
        // Only validity depends on the vocabulary; nothing of it panics.
        let _ = request.validate(0).and(request.validate(u32::MAX));
    }

    #[test]
    fn what_is_decoded_is_encoded_to_the_same_bytes(
        request in request(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut: Option<prop::sample::Index>,
    ) {
        let mut bytes = request.encode();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(decoded) = TokenRequest::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = TokenRequest::decode(&bytes);
    }
}

#[test]
fn other_spellings_are_refused() {
    let mut request = TokenRequest::greedy(ModelRoot(Digest([1; 32])), vec![1], 1);
    request.stop = [0x0101_0101, 0x0202_0202].into();
    request.sampling.logit_bias = [(0x0303_0303, Q16(5)), (0x0404_0404, Q16(5))].into();
    let bytes = request.encode();
    let refused = |bytes: &[u8]| matches!(TokenRequest::decode(bytes), Err(DecodeError::Malformed { .. }));
    assert!(!refused(&bytes));
    let swap = |from: u8, to: u8| -> Vec<u8> {
        let swapped = |byte: &u8| if *byte == from { to } else { *byte };
        // Model and seed have other bytes.
        bytes.iter().map(swapped).collect()
    };
    assert!(refused(&swap(2, 1)), "stop tokens twice");
    assert!(refused(&swap(4, 3)), "biases twice");
    assert!(refused(&swap(1, 9)), "stop tokens out of order");
    assert!(refused(&swap(3, 9)), "biases out of order");
    assert!(refused(&[&bytes[..], &[0]].concat()), "one byte more");
    assert!((0..bytes.len()).all(|length| refused(&bytes[..length])), "bytes missing");
    let huge = vec![0; TokenRequest::MAX_BYTES + 1];
    assert!(matches!(TokenRequest::decode(&huge), Err(DecodeError::TooLarge { .. })));
    // A length of four thousand million with nothing behind it.
    let mut lying = bytes.clone();
    lying[32..36].fill(255);
    assert!(refused(&lying));
}
