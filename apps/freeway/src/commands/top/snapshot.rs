//! What is known, for programs: one object for each block.

use freeway_api::explorer::{EpochRow, LaneRow, NowView};
use freeway_api::{EarningsView, SprintView, Status};
use serde::Serialize;

use super::model::{Link, Model, Racer, Request};
use crate::output::{Page, Show};

/// What is known of the network at a moment.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot<'a> {
    at_ms: u64,
    node: &'a Link,
    status: &'a Option<Status>,
    now: &'a Option<NowView>,
    epochs: &'a [EpochRow],
    sprint: &'a Option<SprintView>,
    racers: Vec<Racer>,
    earnings: Vec<&'a EarningsView>,
    requests: Vec<&'a Request>,
    lanes: &'a [LaneRow],
}

impl<'a> Snapshot<'a> {
    /// That of a model.
    pub(super) fn of(model: &'a Model) -> Self {
        let data = model.data();
        Self {
            at_ms: model.now_ms,
            node: &data.link,
            status: &data.status,
            now: &data.now,
            epochs: &data.epochs,
            sprint: &data.race,
            racers: model.racers(),
            earnings: data.earned.values().collect(),
            requests: model.requests(),
            lanes: &data.lanes,
        }
    }
}

impl Show for Snapshot<'_> {
    /// People get frames.
    fn show(&self, _: &mut Page) {}
}
