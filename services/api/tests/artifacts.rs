//! What belongs to an artifact of work, and what does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_api::serving::{Artifact, Claims, UNSAID};
use freeway_primitives::{Address, Amount, Canonical, Digest, Signature};
use freeway_proofs::work::{self, LaneId, Receipt, Usage, Voucher};
use freeway_requests::{ModelRoot, TokenRequest};

const SALT: [u8; 32] = [3; 32];
const STOP: u32 = 2;
const NONE: Signature = Signature([0; 64]);

/// The first choice ends with a stop token, the second one at its length.
fn output() -> Vec<Vec<u32>> {
    vec![vec![7, 8, STOP], vec![9, 10, 11]]
}

fn said() -> Claims {
    Claims { salt: SALT, logprobs: vec![vec![-500_000, 0, UNSAID], vec![-1, -2, -3]] }
}

/// An artifact whose receipt is about these claims, or about a trace of another tier.
fn artifact(claims: Option<Claims>) -> Artifact {
    let mut request = TokenRequest::greedy(ModelRoot(Digest([5; 32])), vec![1, 4, 6], 3);
    (request.choices, request.stop) = (2, [STOP].into());
    let (lane, host, digest, output) = (LaneId(7), Address([1; 32]), request.digest(), output());
    let traces = claims.as_ref().map_or_else(|| vec![Digest([8; 32]); 2], Claims::traces);
    let receipt = Receipt {
        lane,
        host,
        sequence: 4,
        interval: 3,
        request: digest,
        output: work::output(output.iter().map(Vec::as_slice)),
        trace: work::salted(&SALT, &work::traces(&traces)),
        usage: Usage { prompt: 3, cached: 0, completion: 6 },
        fee: Amount(8),
        total: Amount(20),
    };
    let voucher = Voucher { lane, host, sequence: 4, spent: Amount(12), limit: Amount(30), request: digest };
    Artifact { receipt, signature: NONE, voucher, voucher_signature: NONE, request, output, claims }
}

#[test]
fn claims_belong_to_the_receipt_that_has_their_trace() {
    let right = artifact(Some(said()));
    assert!(right.belongs_together());
    assert_eq!(Artifact::decode(&right.encode()).unwrap(), right);
    // A payer keeps artifacts without them, and the exact tier has none.
    assert!(Artifact { claims: None, ..right.clone() }.belongs_together());
    assert!(artifact(None).belongs_together());

    let with = |claims: Claims| Artifact { claims: Some(claims), ..right.clone() };
    assert!(!with(Claims { salt: [4; 32], ..said() }).belongs_together(), "another salt");
    let mut others = said();
    others.logprobs[1][0] += 1;
    assert!(!with(others).belongs_together(), "other claims");
    let mut swapped = said();
    swapped.logprobs.swap(0, 1);
    assert!(!with(swapped).belongs_together(), "those of another choice");
    // Nor claims beside a trace that is not of claims.
    assert!(!Artifact { claims: Some(said()), ..artifact(None) }.belongs_together());
}

/// Whatever the receipt says: claims of another form are none.
#[test]
fn claims_are_of_each_token_and_only_a_stop_goes_unsaid() {
    let shape = |logprobs: Vec<Vec<i32>>| artifact(Some(Claims { salt: SALT, logprobs })).belongs_together();
    assert!(shape(said().logprobs));
    assert!(shape(vec![vec![-1, -1, -1], vec![-1, -1, -1]]), "a stop may be told");
    for (logprobs, what) in [
        (vec![vec![-1, UNSAID, -1], vec![-1; 3]], "unsaid in the middle"),
        (vec![vec![-1, UNSAID, UNSAID], vec![-1; 3]], "two unsaid"),
        (vec![vec![-1; 3], vec![-1, -1, UNSAID]], "unsaid where nothing stopped"),
        (vec![vec![-1; 4], vec![-1; 3]], "longer than the output"),
        (vec![vec![-1, -1, -1, UNSAID], vec![-1; 3]], "a stop beyond the output"),
        (vec![vec![-1; 2], vec![-1; 3]], "shorter than the output"),
        (vec![vec![-1; 3], Vec::new()], "nothing of a choice"),
        (vec![vec![-1; 3]], "a choice too few"),
        (vec![vec![-1; 3], vec![-1; 3], Vec::new()], "a choice too many"),
        (vec![vec![-1, 1, -1], vec![-1; 3]], "more likely than certain"),
    ] {
        assert!(!shape(logprobs), "{what}");
    }
}

/// An artifact of the longest answer is no longer than any may be.
#[test]
fn the_longest_answer_fits_with_its_claims() {
    let mut long = artifact(None);
    long.output = vec![vec![1; freeway_api::serving::MAX_OUTPUT_TOKENS]];
    let logprobs = vec![vec![-1; freeway_api::serving::MAX_OUTPUT_TOKENS]];
    long.claims = Some(Claims { salt: SALT, logprobs });
    assert!(long.encode().len() <= Artifact::MAX_BYTES);
}
