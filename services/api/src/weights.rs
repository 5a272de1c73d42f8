//! Weights: how much compute each host has proven.
//!
//! A weight counts multiply-adds of the latest race. For people it is also told in *H100-equivalents*: how many
//! H100s, sprinting for as long as the race lasts, would prove it ([`h100s`]).

use freeway_ledger::Params;
use freeway_ledger::weights::Record;
use freeway_primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Millionths;

/// Multiply-adds that one NVIDIA H100 brings into a second of a sprint.
///
/// An assumption, not a measurement: nobody has sprinted on one yet. NVIDIA's data sheet of the H100 (SXM) gives
/// 1,979 * 10^12 operations per second for dense 8-bit integers; of this peak 45 % are taken as what a sprint
/// reaches, which is 8.9 * 10^14 operations or, at two operations each, 4.45 * 10^14 multiply-adds.
/// Only what is shown to people depends on it.
pub const H100_MACS_PER_SECOND: u64 = 445_000_000_000_000;

/// The weight that one H100 would prove in a race under these parameters.
pub fn h100_weight(params: &Params) -> u128 {
    let milliseconds = u128::from(params.epochs.sprint_blocks) * u128::from(params.blocks.target_ms);
    let macs = u128::from(H100_MACS_PER_SECOND).saturating_mul(milliseconds) / 1_000;
    macs.checked_shr(params.sprint.weight_shift).unwrap_or_default().max(1)
}

/// A weight in H100-equivalents.
pub fn h100s(weight: u128, params: &Params) -> Millionths {
    Millionths::of(weight, h100_weight(params))
}

/// What a host has proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WeightView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// What it proved in the latest race.
    pub now: u64,
    /// What it proved in the race before. The smaller of the two counts for voting power.
    pub before: u64,
    /// `now` in H100-equivalents.
    #[schema(value_type = f64, example = 1.25)]
    pub h100_equivalents: Millionths,
    /// Its part of the voting power in the next block, from 0 to 1.
    #[schema(value_type = f64, example = 0.25)]
    pub power_share: Millionths,
    /// Clean epochs, up to 30.
    pub reputation: u8,
    /// The epoch of the last race that it took part in, if it ever did.
    pub raced: Option<u64>,
    /// Races that it has missed in a row.
    pub absent: u16,
    /// Hosts that it had to check in the latest race.
    pub owed: u32,
    /// Of these, hosts that it did check.
    pub done: u32,
}

impl WeightView {
    /// A record of the ledger.
    pub fn new(
        host: Address,
        record: &Record,
        h100_equivalents: Millionths,
        power_share: Millionths,
    ) -> Self {
        Self {
            host,
            now: record.now,
            before: record.before,
            h100_equivalents,
            power_share,
            reputation: record.reputation,
            // There is no race in epoch 0.
            raced: (record.raced.0 > 0).then_some(record.raced.0),
            absent: record.absent,
            owed: record.owed,
            done: record.done,
        }
    }
}

/// A page of weights, by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WeightsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// Whether any race has settled. Until then the weights are those that genesis gave, and nothing is proven.
    pub proven: bool,
    /// The sum of all weights.
    pub total: u64,
    /// The sum in H100-equivalents.
    #[schema(value_type = f64, example = 12.5)]
    pub total_h100_equivalents: Millionths,
    /// The weight that one H100 is taken to prove in a race.
    pub h100_weight: u64,
    /// The weights.
    pub weights: Vec<WeightView>,
    /// If there are more: what to give as `after` for the next page.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Address>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_ledger::Preset;

    #[test]
    fn an_h100_is_one_h100() {
        for preset in Preset::ALL {
            let params = preset.params();
            assert_eq!(h100s(h100_weight(&params), &params), Millionths(1_000_000));
            assert_eq!(h100s(0, &params), Millionths(0));
        }
        // 180 s at 4.45 * 10^14 multiply-adds, in units of 2^24.
        let main = Preset::Main.params();
        assert_eq!(h100_weight(&main), 4_774_332_046);
        let mut tiny = main;
        tiny.sprint.weight_shift = 63;
        assert_eq!(h100_weight(&tiny), 1, "nothing is divided by nothing");
    }
}
