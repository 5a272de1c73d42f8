//! Who computes how much in a step.

/// A prompt is sure of this part of what prompts share, divided by their number.
const SURE: usize = 4;

/// Shares `rows` rows among sequences that have `left` rows to compute each, none of them 0. Gives how many each gets:
/// at least one, if there are not more sequences than rows.
///
/// Sequences with one row left generate, and get it. Of the rest each prompt is sure of a part, so that all go on, and
/// what remains goes to those nearest to their end, the older of two first: the mean wait is shortest so.
pub(super) fn share(left: &[usize], rows: usize) -> Vec<usize> {
    let prompts = left.iter().filter(|left| **left > 1).count();
    let mut free = rows.saturating_sub(left.len() - prompts);
    let sure = (free / (SURE * prompts.max(1))).max(1);
    let mut shares: Vec<usize> =
        left.iter().map(|left| (*left).min(if *left > 1 { sure } else { 1 })).collect();
    for (left, share) in left.iter().zip(&mut shares) {
        if *left > 1 {
            *share = (*share).min(free);
            free -= *share;
        }
    }
    let mut nearest: Vec<usize> = (0..left.len()).filter(|i| left[*i] > 1).collect();
    nearest.sort_by_key(|i| left[*i]);
    for i in nearest {
        let more = (left[i] - shares[i]).min(free);
        shares[i] += more;
        free -= more;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generation_comes_first_and_short_prompts_before_long_ones() {
        assert_eq!(share(&[1, 1, 1], 256), [1, 1, 1]);
        assert_eq!(share(&[1000], 256), [256]);
        assert_eq!(share(&[1, 5000, 30, 1], 256), [1, 224, 30, 1]);
        assert_eq!(share(&[5000, 400], 256), [32, 224]);
        assert_eq!(share(&[400, 400], 256), [224, 32]);
        assert_eq!(share(&[9, 9, 1], 3), [1, 1, 1]);
        assert_eq!(share(&[], 3), [0; 0]);
    }

    proptest! {
        #[test]
        fn everybody_gets_something_and_nothing_is_left_over(left in prop::collection::vec(1usize..600, 0..40), more in 0usize..300) {
            let rows = left.len() + more;
            let shares = share(&left, rows);
            prop_assert!(shares.iter().zip(&left).all(|(share, left)| *share >= 1 && share <= left));
            prop_assert_eq!(shares.iter().sum::<usize>(), rows.min(left.iter().sum()));
        }
    }
}
