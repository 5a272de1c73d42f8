//! Money that comes free over time.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Amount, Epoch};

use crate::module;
use crate::state::Fault;

/// Into how many steps the time of vesting is cut: what would end within one step ends with it.
const STEPS: u64 = 16;

/// The most buckets of a host. Twice as many as one length of vesting needs, in case its parameter changes.
pub const MAX_BUCKETS: usize = 2 * (STEPS as usize + 1);

/// Money whose last part comes free at the same switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Bucket {
    /// The epoch at whose switch the last of it comes free.
    pub ends: Epoch,
    /// What has not come free.
    pub left: Amount,
}

/// What a host was granted and does not have yet, by its end.
///
/// At the switch of epoch e, a bucket that ends with epoch E gives up one part in (E - e + 1) of what it has left: each
/// grant comes in equal parts, but for rounding, and the last part is whatever is left. So all is released in the end,
/// to the base unit, and a switch that was missed is made up for by those that follow.
///
/// A grant ends with the step in which its time is over: there are few buckets, however long vesting takes, and it
/// takes at most one step longer.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vesting(Vec<Bucket>);

impl Vesting {
    /// The buckets, by their end. None of them is empty.
    pub fn buckets(&self) -> &[Bucket] {
        &self.0
    }

    /// Everything that is not released.
    ///
    /// # Errors
    /// [`Fault`] on overflow, which the supply forbids.
    pub fn left(&self) -> Result<Amount, Fault> {
        let mut sum = Amount::ZERO;
        for bucket in &self.0 {
            module::add(&mut sum, bucket.left)?;
        }
        Ok(sum)
    }

    /// Adds a grant that is to be released at so many switches, that of `epoch` the first.
    pub(super) fn grant(&mut self, epoch: Epoch, epochs: u64, amount: Amount) -> Result<(), Fault> {
        if amount.is_zero() {
            return Ok(());
        }
        let step = epochs.div_ceil(STEPS).max(1);
        let last = epoch.0.saturating_add(epochs.saturating_sub(1));
        let ends = Epoch(last.div_ceil(step).saturating_mul(step));
        let at = self.0.partition_point(|bucket| bucket.ends < ends);
        let same = self.0.get(at).is_some_and(|bucket| bucket.ends == ends);
        if !same && self.0.len() < MAX_BUCKETS {
            self.0.insert(at, Bucket { ends, left: amount });
            return Ok(());
        }
        // If there is no room, with the next that ends: what is late is not lost.
        let at = at.min(self.0.len().saturating_sub(1));
        match self.0.get_mut(at) {
            Some(bucket) => module::add(&mut bucket.left, amount),
            None => Err(Fault("there is no bucket".into())),
        }
    }

    /// Takes out what comes free at the switch of `epoch`.
    pub(super) fn release(&mut self, epoch: Epoch) -> Result<Amount, Fault> {
        let mut free = Amount::ZERO;
        for bucket in &mut self.0 {
            let switches = bucket.ends.0.saturating_sub(epoch.0).saturating_add(1);
            take(bucket, 1, switches, &mut free)?;
        }
        self.0.retain(|bucket| !bucket.left.is_zero());
        Ok(free)
    }

    /// Takes out `parts / whole` of everything.
    pub(super) fn forfeit(&mut self, parts: u64, whole: u64) -> Result<Amount, Fault> {
        let mut lost = Amount::ZERO;
        for bucket in &mut self.0 {
            take(bucket, parts, whole, &mut lost)?;
        }
        self.0.retain(|bucket| !bucket.left.is_zero());
        Ok(lost)
    }
}

/// Moves `parts / whole` of a bucket to `sum`.
fn take(bucket: &mut Bucket, parts: u64, whole: u64, sum: &mut Amount) -> Result<(), Fault> {
    let not_a_part = || Fault("what is taken from a bucket is no part of it".into());
    let part = bucket.left.fraction(parts, whole).ok_or_else(not_a_part)?;
    bucket.left = bucket.left.checked_sub(part).ok_or_else(not_a_part)?;
    module::add(sum, part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(vesting: &mut Vesting, from: u64, switches: u64) -> Vec<u128> {
        (from..from + switches).map(|epoch| vesting.release(Epoch(epoch)).unwrap().0).collect()
    }

    #[test]
    fn a_grant_comes_in_equal_parts() {
        let mut vesting = Vesting::default();
        vesting.grant(Epoch(7), 4, Amount(400)).unwrap();
        assert_eq!(all(&mut vesting, 7, 5), [100, 100, 100, 100, 0]);
        vesting.grant(Epoch(7), 4, Amount(10)).unwrap();
        assert_eq!(all(&mut vesting, 7, 5), [2, 2, 3, 3, 0]);
        vesting.grant(Epoch(7), 1, Amount(10)).unwrap();
        assert_eq!(all(&mut vesting, 7, 2), [10, 0]);
        assert_eq!(vesting, Vesting::default());
    }

    #[test]
    fn long_vesting_takes_few_buckets_and_at_most_a_step_longer() {
        let mut vesting = Vesting::default();
        let mut released = 0u128;
        for epoch in 1_000..2_000 {
            vesting.grant(Epoch(epoch), 180, Amount(1_800_000)).unwrap();
            assert!(vesting.buckets().len() <= 17, "{}", vesting.buckets().len());
            let ends = vesting.buckets().last().unwrap().ends.0;
            assert!((epoch + 179..epoch + 191).contains(&ends));
            let free = vesting.release(Epoch(epoch)).unwrap().0;
            // Once it runs, an epoch releases what an epoch brings, within a twentieth.
            assert!(epoch < 1_200 || free.abs_diff(1_800_000) < 90_000, "{free}");
            released += free;
        }
        released += all(&mut vesting, 2_000, 192).iter().sum::<u128>();
        assert_eq!((released, vesting.left().unwrap()), (1_800_000_000, Amount::ZERO));
    }

    #[test]
    fn a_missed_switch_is_made_up_for() {
        let mut vesting = Vesting::default();
        vesting.grant(Epoch(0), 4, Amount(100)).unwrap();
        assert_eq!(all(&mut vesting, 0, 1), [25]);
        assert_eq!(all(&mut vesting, 2, 1), [37]);
        assert_eq!(all(&mut vesting, 9, 1), [38]);
    }

    proptest! {
        /// Whatever is granted, over whatever times, forfeited or not: nothing is lost, nothing is made, buckets are
        /// few, and it ends.
        #[test]
        fn all_is_released_in_the_end(
            steps in proptest::collection::vec((0u64..40, 1u64..300, 0u128..1 << 90, any::<bool>(), 0u64..=1_000), 1..60),
        ) {
            let (mut vesting, mut epoch) = (Vesting::default(), 0);
            let (mut granted, mut out, mut end) = (0u128, 0u128, 0);
            for (wait, epochs, amount, slashed, parts) in steps {
                epoch += wait;
                vesting.grant(Epoch(epoch), epochs, Amount(amount)).unwrap();
                granted += amount;
                end = end.max(epoch + epochs + epochs.div_ceil(STEPS));
                prop_assert!(vesting.buckets().len() <= MAX_BUCKETS);
                prop_assert!(vesting.buckets().windows(2).all(|pair| pair[0].ends < pair[1].ends));
                out += vesting.release(Epoch(epoch)).unwrap().0;
                if slashed {
                    out += vesting.forfeit(parts, 1_000).unwrap().0;
                }
                prop_assert_eq!(out + vesting.left().unwrap().0, granted);
            }
            out += vesting.release(Epoch(end)).unwrap().0;
            prop_assert_eq!((out, vesting.left().unwrap()), (granted, Amount::ZERO));
        }
    }
}
