//! The board: the dealings of a round once all are posted, and what follows from them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use freeway_primitives::{Address, Digest, SecretKey, Signature};

use crate::curve::{are_values, evaluate, scalar_bytes};
use crate::error::{DealingError, OwnError};
use crate::round::{Opened, SIGN_ACKS, SIGN_LOG, acks_content, log_content, seen};
use crate::{Acks, Dealing, Log, Round};

/// The dealings that the chain has of a round when the time for them is over, each by who posted it; the same for
/// everybody.
///
/// A dealing is checked and its points are decoded when it is first needed, and then remembered: that is where
/// the time goes. A node keeps the board until the round is over.
#[derive(Clone, Debug)]
pub struct Board {
    pub(crate) round: Round,
    dealings: BTreeMap<Address, (Dealing, OnceLock<Result<Opened, DealingError>>)>,
}

impl Board {
    /// The board of a round. A dealing that [`Round::check_dealing`] rejects counts as not posted.
    pub fn new(round: Round, dealings: BTreeMap<Address, Dealing>) -> Self {
        let unopened = |(dealer, dealing)| (dealer, (dealing, OnceLock::new()));
        Self { round, dealings: dealings.into_iter().map(unopened).collect() }
    }

    /// The round.
    pub const fn round(&self) -> &Round {
        &self.round
    }

    /// A dealing, whether it is valid or not.
    pub fn dealing(&self, dealer: &Address) -> Option<&Dealing> {
        self.dealings.get(dealer).map(|(dealing, _)| dealing)
    }

    /// A dealing and its points; `None` if there is none.
    pub(crate) fn open(&self, dealer: &Address) -> Option<Result<(&Dealing, &Opened), &DealingError>> {
        let (dealing, opened) = self.dealings.get(dealer)?;
        let opened = opened.get_or_init(|| self.round.open(dealer, dealing));
        Some(opened.as_ref().map(|opened| (dealing, opened)))
    }

    /// The second message: which of the dealings gave all of one's seats their right shares.
    ///
    /// # Errors
    /// [`OwnError`] if `me` has no seat, or not under this key.
    pub fn acknowledge(&self, secret: &SecretKey, me: &Address) -> Result<Acks, OwnError> {
        self.round.own(secret, me)?;
        let (mut good, mut bad, mut digests) = (0u128, 0u128, Vec::new());
        for (i, dealer) in self.round.seats().holders().iter().enumerate() {
            let Some(Ok((dealing, opened))) = self.open(&dealer.address) else { continue };
            digests.push(opened.digest);
            let right = self
                .round
                .uncover(secret, me, dealer, dealing)
                .is_some_and(|shares| are_values(&opened.points, &dealing.polynomial, &shares));
            *(if right { &mut good } else { &mut bad }) |= 1 << i;
        }
        let mut acks = Acks { good, bad, seen: seen(&digests), signature: Signature([0; 64]) };
        acks.signature = self.round.sign(SIGN_ACKS, secret, me, &acks_content(&acks));
        Ok(acks)
    }

    /// The third message, of a dealer against whom somebody complained: the shares of who did. `None` if nobody
    /// did: then there is nothing to post.
    ///
    /// # Errors
    /// [`OwnError`] if `me` has no seat or not under this key, if the dealing on the board is not one's own, or
    /// if the answer would give the secret away.
    pub fn close(
        &self,
        secret: &SecretKey,
        me: &Address,
        acks: &BTreeMap<Address, Acks>,
    ) -> Result<Option<Log>, OwnError> {
        let round = &self.round;
        let dealing = round.deal(secret, me)?;
        if self.dealing(me) != Some(&dealing) {
            return Err(OwnError::OtherDealing);
        }
        let place = round.seats().position(me).ok_or(OwnError::NoSeat(*me))?;
        let complaining = self.tally(acks).complaining(place);
        let complaints = round.seats().held_by(complaining);
        let limit = round.reveal_limit();
        if complaints > limit {
            return Err(OwnError::TooManyComplaints { complaints, limit });
        }
        if complaints == 0 {
            return Ok(None);
        }
        let polynomial = round.polynomial(secret);
        let holders = round.seats().holders().iter().enumerate();
        let reveals = holders
            .filter(|(i, _)| complaining >> i & 1 == 1)
            .flat_map(|(_, holder)| round.seats().of(&holder.address))
            // Seats are below 255.
            .map(|seat| (seat as u8, *scalar_bytes(&evaluate(&polynomial, seat))))
            .collect();
        let mut log = Log { dealing: dealing.digest(), reveals, signature: Signature([0; 64]) };
        log.signature = round.sign(SIGN_LOG, secret, me, &log_content(&log));
        Ok(Some(log))
    }

    /// The acknowledgements that are valid and about these dealings.
    pub(crate) fn tally(&self, acks: &BTreeMap<Address, Acks>) -> Tally {
        let holders = self.round.seats().holders();
        let digests: Vec<Option<Digest>> =
            holders.iter().map(|holder| self.dealing(&holder.address).map(Dealing::digest)).collect();
        let mut votes = Vec::new();
        for (author, holder) in holders.iter().enumerate() {
            let Some(acks) = acks.get(&holder.address) else { continue };
            if self.round.check_acks(&holder.address, acks).is_err() {
                continue;
            }
            let judged = acks.good | acks.bad;
            let about: Option<Vec<Digest>> = (0..holders.len())
                .filter(|dealer| judged >> dealer & 1 == 1)
                .map(|dealer| digests[dealer])
                .collect();
            if about.is_some_and(|about| seen(&about) == acks.seen) {
                votes.push(Vote { author, good: acks.good, bad: acks.bad });
            }
        }
        Tally(votes)
    }
}

/// The acknowledgements of one holder that count.
struct Vote {
    /// The place of the author.
    author: usize,
    /// The places of the dealers that it calls right.
    good: u128,
    /// The places of the dealers that it calls wrong.
    bad: u128,
}

/// The acknowledgements that count.
pub(crate) struct Tally(Vec<Vote>);

impl Tally {
    /// The places of who calls the dealer at `dealer` wrong.
    pub(crate) fn complaining(&self, dealer: usize) -> u128 {
        self.authors(|vote| vote.bad >> dealer & 1 == 1)
    }

    /// The places of who calls the dealer at `dealer` right.
    pub(crate) fn approving(&self, dealer: usize) -> u128 {
        self.authors(|vote| vote.good >> dealer & 1 == 1)
    }

    fn authors(&self, which: impl Fn(&Vote) -> bool) -> u128 {
        self.0.iter().filter(|vote| which(vote)).fold(0, |places, vote| places | 1 << vote.author)
    }
}
