//! The result of a round: the group's key, which anybody computes, and the shares, which each holder does.

use std::collections::BTreeMap;

use commonware_cryptography::bls12381::primitives::group::{G2, Private, Scalar, Share};
use commonware_math::algebra::Additive as _;
use commonware_utils::Participant;
use freeway_primitives::{Address, SecretKey};

use crate::board::Tally;
use crate::curve::{are_values, point_bytes, points};
use crate::error::{DealingFailed, GroupError, Refusal, SharesError};
use crate::round::Opened;
use crate::{Acks, Board, Dealing, Group, Holder, Log, Shares};

impl Board {
    /// The group that these messages make. All who pass the same messages get the same result; everything in
    /// them is checked here again.
    ///
    /// A dealing is good if everybody who complained about it was answered with its right share, and if holders
    /// of a majority of the seats have a right share for sure (by their own word, or because it was shown). The
    /// key is the sum of the first good dealings, in the order of the seats, whose dealers hold a majority.
    ///
    /// # Errors
    /// [`DealingFailed`] if the good dealers hold no majority: says what is wrong with the others.
    pub fn group(
        &self,
        acks: &BTreeMap<Address, Acks>,
        logs: &BTreeMap<Address, Log>,
    ) -> Result<Group, DealingFailed> {
        let tally = self.tally(acks);
        let all = self.round.seats();
        let needed = all.majority();
        let (mut seats, mut dealers, mut refused) = (0, 0u128, Vec::new());
        let mut sum = vec![G2::zero(); usize::from(needed)];
        for (place, holder) in all.holders().iter().enumerate() {
            if seats >= needed {
                break;
            }
            match self.judge(place, &holder.address, &tally, logs) {
                Ok(opened) => {
                    sum.iter_mut().zip(&opened.points).for_each(|(sum, point)| *sum += point);
                    seats += u16::from(holder.seats);
                    dealers |= 1 << place;
                }
                Err(refusal) => refused.push((holder.address, refusal)),
            }
        }
        if seats < needed {
            return Err(DealingFailed::TooFew { seats, needed, refused });
        }
        if sum.iter().any(|point| *point == G2::zero()) {
            return Err(DealingFailed::Degenerate);
        }
        let polynomial = sum.iter().map(point_bytes).collect();
        Ok(Group { epoch: self.round.epoch(), seats: all.clone(), dealers, polynomial })
    }

    /// Whether a dealing is good.
    fn judge(
        &self,
        place: usize,
        dealer: &Address,
        tally: &Tally,
        logs: &BTreeMap<Address, Log>,
    ) -> Result<&Opened, Refusal> {
        let seats = self.round.seats();
        self.dealing(dealer).ok_or(Refusal::Absent)?;
        let complaining = tally.complaining(place);
        let (sure, needed) = (seats.held_by(complaining | tally.approving(place)), seats.majority());
        if sure < needed {
            return Err(Refusal::Unacknowledged { seats: sure, needed });
        }
        let (dealing, opened) = self.open(dealer).ok_or(Refusal::Absent)?.map_err(Clone::clone)?;
        let mut shown: Option<BTreeMap<u16, Scalar>> = None;
        for (i, holder) in seats.holders().iter().enumerate() {
            if complaining >> i & 1 == 0 {
                continue;
            }
            let unanswered = Refusal::Unanswered(holder.address);
            let reveals = match &mut shown {
                Some(reveals) => reveals,
                None => {
                    let Some(log) = logs.get(dealer) else { return Err(unanswered) };
                    shown.insert(self.round.reveals(dealer, dealing, opened, log)?)
                }
            };
            if !seats.of(&holder.address).all(|seat| reveals.contains_key(&seat)) {
                return Err(unanswered);
            }
        }
        Ok(opened)
    }

    /// One's shares of a group's key, from the same messages that the group was made of.
    ///
    /// # Errors
    /// [`SharesError`]: above all [`SharesError::Wrong`], if one was offline when complaints were due and a
    /// dishonest dealer gave wrong shares. The group works without them.
    pub fn shares(
        &self,
        secret: &SecretKey,
        me: &Address,
        group: &Group,
        logs: &BTreeMap<Address, Log>,
    ) -> Result<Shares, SharesError> {
        self.round.own(secret, me)?;
        if group.epoch != self.round.epoch() || group.seats != *self.round.seats() || !group.has_shape() {
            return Err(SharesError::OtherRound);
        }
        let public = points(&group.polynomial).map_err(|_| GroupError::Point)?;
        let is_mine = |shares: &[(u16, Scalar)]| are_values(&public, &group.polynomial, shares);
        // Without complaints all shares are right, which one look at their sum shows.
        let uncover = |dealer: &Holder, dealing: &Dealing| self.round.uncover(secret, me, dealer, dealing);
        if let Ok(shares) = self.sum(group, uncover)
            && is_mine(&shares)
        {
            return Ok(self.wrap(group, shares));
        }
        let shares = self.sum(group, |dealer, dealing| {
            let (_, opened) = self.open(&dealer.address)?.ok()?;
            let own = uncover(dealer, dealing);
            own.filter(|own| are_values(&opened.points, &dealing.polynomial, own)).or_else(|| {
                let log = logs.get(&dealer.address)?;
                let shown = self.round.reveals(&dealer.address, dealing, opened, log).ok()?;
                let seats = self.round.seats().of(me);
                seats.map(|seat| Some((seat, shown.get(&seat)?.clone()))).collect()
            })
        })?;
        if is_mine(&shares) { Ok(self.wrap(group, shares)) } else { Err(SharesError::OtherRound) }
    }

    /// Adds up what `of` finds in the dealings that a group is made of.
    fn sum(
        &self,
        group: &Group,
        of: impl Fn(&Holder, &Dealing) -> Option<Vec<(u16, Scalar)>>,
    ) -> Result<Vec<(u16, Scalar)>, SharesError> {
        let mut sums: Vec<(u16, Scalar)> = Vec::new();
        for dealer in group.dealers() {
            let dealing = self.dealing(&dealer.address).ok_or(SharesError::Missing(dealer.address))?;
            let shares = of(dealer, dealing).ok_or(SharesError::Wrong(dealer.address))?;
            if sums.is_empty() {
                sums = shares;
            } else {
                sums.iter_mut().zip(&shares).for_each(|((_, sum), (_, share))| *sum += share);
            }
        }
        Ok(sums)
    }

    fn wrap(&self, group: &Group, shares: Vec<(u16, Scalar)>) -> Shares {
        let share = |(seat, share)| Share::new(Participant::new(u32::from(seat)), Private::new(share));
        Shares::new(*self.round.chain(), group, shares.into_iter().map(share).collect())
    }
}
