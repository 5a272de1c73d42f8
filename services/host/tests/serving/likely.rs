//! Lanes of the statistical tier: the trace is of what the host says of its tokens' likelihoods.

use freeway_api::serving::{Artifact, Frame, Frames, UNSAID};
use freeway_engines::{Engine, Exact, ExactOptions, ScoreJob};
use freeway_host::adversary::Serve;
use freeway_ledger::models::Tier;
use freeway_proofs::work::{claimed, salted, traces};
use freeway_requests::TokenRequest;

use crate::kit::{Answer, LIKELY_LANE, LOOSE_LANE, Running, STOP};

/// What the right model finds of a choice's tokens.
async fn scores(running: &Running, request: &TokenRequest, tokens: &[u32]) -> Vec<i32> {
    let exact = Exact::new(ExactOptions::default());
    exact.add("tiny", running.package.clone()).unwrap();
    let (prompt, continuation) = (request.prompt.clone(), tokens.to_vec());
    let scores = exact.score("tiny", ScoreJob { prompt, continuation, top: 0 }).await.unwrap();
    scores.tokens.iter().map(|scored| scored.logprob.0).collect()
}

/// What is shown to verifiers, which must fit what was told to the payer.
fn artifact(running: &Running, answer: &Answer) -> Artifact {
    let artifact = running.store.artifact(&answer.done.receipt.digest()).unwrap().unwrap();
    assert!(artifact.belongs_together());
    let claims = artifact.claims.as_ref().unwrap();
    assert_eq!((claims.traces(), claims.salt), (answer.done.traces.clone(), answer.done.salt));
    assert_eq!(answer.done.receipt.trace, salted(&claims.salt, &traces(&claims.traces())));
    artifact
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_kept_and_a_payer_sees_what_it_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    assert_eq!(running.table.lane(LIKELY_LANE).tier, Tier::Statistical);
    let mut total = 0;
    for (number, top_logprobs) in [(0, None), (1, Some(0)), (2, Some(3))] {
        let request = TokenRequest { top_logprobs, ..running.request(number as i64) };
        let ask = running.ask(LIKELY_LANE, number, total, request.clone());
        let answer = running.done(&ask).await;
        total += answer.done.receipt.fee.0;
        let logprobs = artifact(&running, &answer).claims.unwrap().logprobs;
        for (tokens, said) in answer.tokens.iter().zip(&logprobs) {
            assert_eq!(*said, scores(&running, &request, tokens).await);
        }
        let scored = answer.frames.iter().filter_map(|frame| match frame {
            Frame::Token { scored, .. } => Some(scored.as_ref().map(|scored| scored.top.len() as u8)),
            _ => None,
        });
        assert!(scored.clone().count() > 0 && scored.into_iter().all(|top| top == top_logprobs));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_token_may_go_unsaid_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), None).await;
    let answer = running.done(&running.ask(LOOSE_LANE, 0, 0, running.loose_request(0))).await;
    assert_eq!(answer.tokens, [[7, 8, STOP]]);
    assert_eq!(artifact(&running, &answer).claims.unwrap().logprobs, [[-1_500, -1_500, UNSAID]]);
    assert_eq!(answer.done.traces, [claimed([-1_500, -1_500, UNSAID])]);
    let paid = answer.done.receipt.total.0;
    for how in 1..=3 {
        let ask = running.ask(LOOSE_LANE, u64::from(how), paid, running.loose_request(how));
        let mut frames = Frames::default();
        frames.push(&running.post(LOOSE_LANE, &ask).await.bytes().await.unwrap());
        let last = core::iter::from_fn(|| frames.next().unwrap()).last().unwrap();
        assert!(matches!(last, Frame::Failed { .. }), "{how}: {last:?}");
    }
    // Nothing of it is owed.
    assert_eq!(running.store.share(LOOSE_LANE).unwrap().total.0, paid);
    // Nor is anything taken that members would call wrong.
    let mut lane = running.table.lane(LOOSE_LANE);
    lane.tier = Tier::Exact;
    running.table.set_lane(LOOSE_LANE, &lane);
    let ask = running.ask(LOOSE_LANE, 9, paid, running.loose_request(0));
    assert_eq!(running.refused(&ask).await, "unknown_model");
    lane.tier = Tier::Statistical;
    running.table.set_lane(LOOSE_LANE, &lane);
    let unknown = TokenRequest { prompt: vec![64], ..running.loose_request(0) };
    assert_eq!(running.refused(&running.ask(LOOSE_LANE, 9, paid, unknown)).await, "wrong_request");
}

/// How far claims are from what the right model finds, at most, and the tokens.
async fn cheated(how: Option<Serve>) -> (u32, Vec<Vec<u32>>) {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), how).await;
    let request = TokenRequest { choices: 1, ..running.request(1) };
    let request = TokenRequest { sampling: freeway_requests::Sampling::greedy(), ..request };
    let answer = running.done(&running.ask(LIKELY_LANE, 0, 0, request.clone())).await;
    let said = artifact(&running, &answer).claims.unwrap().logprobs.remove(0);
    let found = scores(&running, &request, &answer.tokens[0]).await;
    let gaps = said.iter().zip(found).map(|(said, found)| said.abs_diff(found));
    (gaps.max().unwrap(), answer.tokens)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cheat_shows_in_claims_or_tokens() {
    let (gap, honest) = cheated(None).await;
    assert_eq!(gap, 0);
    let (forged, tokens) = cheated(Some(Serve::Forge)).await;
    assert!(forged > 400_000 && tokens == honest, "{forged}");
    let (gap, tokens) = cheated(Some(Serve::Coarser)).await;
    assert!(gap > 1_000 && tokens != honest, "{gap}");
    // Its claims are right, and its tokens are not those that are likeliest.
    let (gap, tokens) = cheated(Some(Serve::Rescore)).await;
    assert!(gap == 0 && tokens != honest, "{gap}");
}
