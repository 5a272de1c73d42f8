//! What the engine does for its core.

use std::sync::atomic::Ordering;

use freeway_consensus::Fatal;
use freeway_consensus::context::{Context, Height};
use malachitebft_core_consensus::{ConsensusMsg, Effect, LivenessMsg, Resumable, Resume, SignedConsensusMsg};
use malachitebft_core_types::{Round, Timeout, TimeoutKind, ValueOrigin};
use malachitebft_engine::host::SyncedValueOutcome;
use malachitebft_signing::{Signer, Verifier, VerifierExt};

use super::{Host, Out, Reply, timer_key};
use crate::verifier::now;
use crate::wire::{Kind, Wire};

impl Host {
    /// Keeps the first failure of the application; after it the process does nothing more.
    pub(super) fn settle<T>(&mut self, result: Result<T, Fatal>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fatal) => {
                self.fatal.get_or_insert(fatal);
                None
            }
        }
    }

    fn flush(&mut self) {
        if !self.recovering && self.is_validator {
            self.wal.flush();
        }
    }

    fn push(&mut self, kind: Kind, message: &LivenessMsg<Context>) {
        self.out.push(Out::Broadcast(Wire::new(kind, message)));
    }

    /// Does what the core asks.
    pub(super) fn handle(&mut self, effect: Effect<Context>) -> Result<Resume<Context>, Fatal> {
        if let Some(fatal) = &self.fatal {
            return Err(fatal.clone());
        }
        let resume = self.perform(effect)?;
        match &self.fatal {
            Some(fatal) => Err(fatal.clone()),
            None => Ok(resume),
        }
    }

    fn perform(&mut self, effect: Effect<Context>) -> Result<Resume<Context>, Fatal> {
        Ok(match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.clear();
                r.resume_with(())
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.remove(&timer_key(&timeout));
                r.resume_with(())
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.schedule(timeout);
                r.resume_with(())
            }
            Effect::StartRound(height, round, _, _, r) => {
                self.flush();
                self.seen.round = self.seen.round.max(round.as_i64());
                self.seen.extra_rounds += u64::from(round.as_i64() > 0);
                let known = self.bridge.started_round(height.0, round);
                for value in self.settle(known).unwrap_or_default() {
                    self.out.push(Out::Reply(Reply::Value(Box::new(value), ValueOrigin::Consensus)));
                }
                r.resume_with(())
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.flush();
                self.note(&message);
                self.out.push(Out::Consensus(Box::new(message)));
                r.resume_with(())
            }
            Effect::PublishLivenessMsg(message, r) => {
                self.push(Kind::Liveness, &message);
                r.resume_with(())
            }
            Effect::RepublishVote(vote, r) => {
                self.push(Kind::Liveness, &LivenessMsg::Vote(vote));
                r.resume_with(())
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                self.push(Kind::Liveness, &LivenessMsg::SkipRoundCertificate(certificate));
                r.resume_with(())
            }
            Effect::GetValue(height, round, _, r) => {
                let proposed = self.bridge.propose(height.0, round);
                if let Some(Some(outgoing)) = self.settle(proposed) {
                    self.out.push(Out::Reply(Reply::Propose(outgoing.value)));
                    self.out.push(Out::Parts(outgoing.parts));
                }
                r.resume_with(())
            }
            Effect::RestreamProposal(height, round, valid_round, _, value, r) => {
                let parts = self.bridge.restream(height.0, round, valid_round, value.0);
                if let Some(parts) = self.settle(parts) {
                    self.out.push(Out::Parts(parts));
                }
                r.resume_with(())
            }
            Effect::Decide(certificate, _, r) => {
                self.flush();
                let before = self.bridge.application().height();
                let decided = self.bridge.decided(&certificate);
                self.settle(decided);
                self.committed_after(before);
                r.resume_with(())
            }
            Effect::Finalize(certificate, _, evidence, r) => {
                self.seen.evidence.extend(freeway_consensus::equivocations(&evidence));
                let before = self.bridge.application().height();
                let finalized = self.bridge.finalized(&certificate, &evidence);
                self.committed_after(before);
                if let Some(next) = self.settle(finalized) {
                    self.out.push(Out::Reply(Reply::Start { again: !next }));
                }
                r.resume_with(())
            }
            Effect::SignVote(vote, r) => r.resume_with(now(self.signer()?.sign_vote(vote)).map_err(refused)?),
            Effect::SignProposal(proposal, r) => {
                r.resume_with(now(self.signer()?.sign_proposal(proposal)).map_err(refused)?)
            }
            Effect::WalAppend(height, input, r) => {
                if !self.recovering && self.is_validator {
                    self.wal.append(height.0, &input);
                }
                r.resume_with(())
            }
            Effect::ExtendVote(_, _, _, _, r) => r.resume_with(None),
            Effect::VerifyVoteExtension(_, _, _, _, _, _, r) => r.resume_with(Ok(())),
            Effect::CertVerifiedSyncValue(response, proposer, r) => {
                let certificate = &response.certificate;
                let (height, round) = (certificate.height, certificate.round);
                self.synced(height, round, certificate.value_id, proposer.0, response.value_bytes.clone());
                r.resume_with(())
            }
            Effect::CertRejectedSyncValue(_, _, _, r) => r.resume_with(()),
            check => self.check(check),
        })
    }

    fn check(&self, effect: Effect<Context>) -> Resume<Context> {
        let verifier = &self.verifier;
        match effect {
            Effect::VerifySignature(message, key, r) => {
                let valid = match &message.message {
                    ConsensusMsg::Vote(vote) => {
                        now(verifier.verify_signed_vote(vote, &message.signature, &key))
                    }
                    ConsensusMsg::Proposal(proposal) => {
                        now(verifier.verify_signed_proposal(proposal, &message.signature, &key))
                    }
                };
                r.resume_with(valid.is_ok_and(|valid| valid.is_valid()))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, r) => r.resume_with(now(
                VerifierExt::verify_commit_certificate(verifier, &Context, &certificate, &set, thresholds),
            )),
            Effect::VerifyExtendedCommitCertificate(certificate, set, thresholds, policy, r) => r
                .resume_with(now(VerifierExt::verify_extended_commit_certificate(
                    verifier,
                    &Context,
                    &certificate,
                    &set,
                    thresholds,
                    policy,
                ))),
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, r) => r.resume_with(now(
                VerifierExt::verify_polka_certificate(verifier, &Context, &certificate, &set, thresholds),
            )),
            Effect::VerifyRoundCertificate(certificate, set, thresholds, r) => r.resume_with(now(
                VerifierExt::verify_round_certificate(verifier, &Context, &certificate, &set, thresholds),
            )),
            other => unreachable!("no check: {other:?}"),
        }
    }

    /// What a node does after a commit, if there was one: its part in the beacon and in the race.
    fn committed_after(&mut self, before: freeway_primitives::Height) {
        let chain = self.bridge.application();
        if self.fatal.is_some() || chain.height() == before {
            return;
        }
        let Some(duties) = &self.duties else { return };
        let state = chain.store().view();
        let kept = chain.beacon().committed(&state, state.height(), duties);
        self.settle(kept.map_err(|fault| Fatal(fault.to_string())));
        self.published_after(before);
        self.step_host();
    }

    fn signer(&self) -> Result<&freeway_consensus::Signing, Fatal> {
        self.signing.as_ref().ok_or_else(|| Fatal("a node without a key was asked to sign".into()))
    }

    fn schedule(&mut self, timeout: Timeout) {
        let delay_ms = match timeout.kind {
            // The core counts real time, of which there is none here.
            TimeoutKind::FinalizeHeight(_) => {
                let elapsed = self.clock.load(Ordering::Relaxed) - self.height_began_ms;
                self.target_ms.saturating_sub(elapsed)
            }
            _ => self.timeouts.duration_for(timeout).as_millis() as u64,
        };
        self.generation += 1;
        let generation = self.generation;
        self.timers.insert(timer_key(&timeout), generation);
        self.out.push(Out::Timer { delay_ms, generation, timeout });
    }

    fn note(&mut self, message: &SignedConsensusMsg<Context>) {
        match message {
            SignedConsensusMsg::Vote(vote) => {
                if let Some(primitive) = vote.message.to_primitive() {
                    let signature = vote.signature.0;
                    self.seen.votes.push(freeway_primitives::SignedVote { vote: primitive, signature });
                }
            }
            SignedConsensusMsg::Proposal(proposal) => {
                if let Some(primitive) = proposal.message.to_primitive() {
                    let signature = proposal.signature.0;
                    self.seen
                        .proposals
                        .push(freeway_primitives::SignedProposal { proposal: primitive, signature });
                }
            }
        }
    }

    /// As the engine treats a block of a peer's history whose certificate it has verified.
    fn synced(
        &mut self,
        height: Height,
        round: Round,
        certified: freeway_consensus::context::Value,
        proposer: freeway_primitives::Address,
        block: bytes::Bytes,
    ) {
        let outcome = self.bridge.synced(height.0, round, proposer, block);
        if let Some(SyncedValueOutcome::Verdict(mut value)) = self.settle(outcome)
            && value.value == certified
        {
            value.round = round;
            self.out.push(Out::Reply(Reply::Value(Box::new(value), ValueOrigin::Sync)));
        }
    }
}

fn refused(error: impl std::fmt::Display) -> Fatal {
    Fatal(format!("the engine could not sign: {error}"))
}
