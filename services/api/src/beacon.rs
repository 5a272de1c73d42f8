//! The randomness beacon.

use freeway_primitives::{Address, Digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The beacon: who signs, whose key is being made, and the latest value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeaconView {
    /// The height of the state that this shows.
    pub height: u64,
    /// Who signs the next height; `null` before the first key is made.
    pub group: Option<GroupView>,
    /// The key that is being made, if one is.
    pub dealing: Option<DealingView>,
    /// The latest value that is recorded, if there is one among the last 512 heights.
    pub latest: Option<LatestValue>,
}

/// A group: those who share a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// The epoch for which its key was made.
    pub epoch: u64,
    /// The first height that it signs.
    pub start: u64,
    /// Its key: a compressed point of BLS12-381's G2, in hexadecimal.
    pub key: String,
    /// Seats in all.
    pub seats: u32,
    /// Seats that a value takes.
    pub majority: u32,
    /// Who holds them.
    pub holders: Vec<SeatsView>,
}

/// The seats of a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeatsView {
    /// The validator.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub validator: Address,
    /// Its seats.
    pub seats: u32,
}

/// The making of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DealingView {
    /// The epoch whose key is made.
    pub epoch: u64,
    /// What is due in the next block: `deal`, `acknowledge`, `close` or `over`.
    #[schema(example = "deal")]
    pub stage: String,
    /// Its first height.
    pub start: u64,
    /// The height of the switch, by which it must be done.
    pub switch: u64,
    /// Validators that take part.
    pub holders: u32,
    /// Of these, validators that have posted their part.
    pub dealt: u32,
    /// Of these, validators that have said which parts they can use.
    pub acknowledged: u32,
}

/// A value and its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LatestValue {
    /// The height that it belongs to.
    pub height: u64,
    /// The value.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub value: Digest,
}

/// The value of a height, with what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeaconValueView {
    /// The height that it belongs to.
    pub height: u64,
    /// The value: the digest of the signature.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub value: Digest,
    /// The group's signature: a compressed point of BLS12-381's G1, in hexadecimal.
    pub signature: String,
    /// The height whose header records it.
    pub recorded_in: u64,
    /// The epoch for which the group's key was made; `null` if the group is older than those in the state.
    pub group_epoch: Option<u64>,
    /// The group's key in hexadecimal; `null` as `group_epoch`.
    pub group_key: Option<String>,
}

/// The beacon in a node's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeaconStatus {
    /// The epoch for which the group's key was made; `null` before the first.
    pub epoch: Option<u64>,
    /// The height of the latest recorded value.
    pub latest_height: Option<u64>,
    /// The value.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub latest_value: Option<Digest>,
}

impl From<&BeaconView> for BeaconStatus {
    fn from(view: &BeaconView) -> Self {
        Self {
            epoch: view.group.as_ref().map(|group| group.epoch),
            latest_height: view.latest.map(|latest| latest.height),
            latest_value: view.latest.map(|latest| latest.value),
        }
    }
}
