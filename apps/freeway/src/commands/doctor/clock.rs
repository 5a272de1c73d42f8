//! This machine's clock, against those of the nodes that were asked. Nobody else is asked for the time.

use freeway_node::NodeConfig;

use super::finding::{Check, Finding};
use super::net::Seen;

/// Blocks whose time is further ahead of a node's clock are not voted for.
const TOO_MUCH_MS: i64 = 10_000;
/// A clock that is kept by a time service is much closer than this.
const MUCH_MS: i64 = 2_000;
/// The most hosts that are asked when no other node is known.
const MAX_HOSTS: usize = 4;

/// What somebody else's clock said.
#[derive(Clone, Debug)]
struct Other {
    name: String,
    /// How far it is ahead of this machine's.
    ahead_ms: i64,
    /// How much that may be wrong.
    within_ms: i64,
}

pub(super) async fn checks(_: &NodeConfig, seen: &Seen) -> Vec<Check> {
    let others: Vec<Other> = seen
        .others
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().ok())
        .filter(|answer| answer.status.height > 0)
        .map(|answer| Other {
            name: answer.url.clone(),
            ahead_ms: answer.ahead_ms,
            within_ms: answer.within_ms,
        })
        .take(MAX_HOSTS)
        .collect();
    // The node's own block time: it is the proposer's, and so somebody else's most of the time.
    let block = seen.answer.as_ref().and_then(|answer| answer.as_ref().ok());
    let block = block.filter(|answer| answer.status.height > 0 && answer.status.behind_ms == 0);
    let block = block.map(|answer| answer.ahead_ms);
    vec![Check::new("clock", "agreement", agreement(&others, block))]
}

/// `block`: how far the latest block's time is ahead, if it is at all.
fn agreement(others: &[Other], block: Option<i64>) -> Finding {
    let remedy =
        "start a time service, such as chrony or systemd-timesyncd, and wait until it has set the clock";
    if let Some(worst) = others.iter().max_by_key(|other| sure(other)) {
        let (way, off) = (if worst.ahead_ms > 0 { "behind" } else { "ahead of" }, worst.ahead_ms.abs());
        let found = format!("{} {way} {}, of {} asked", seconds(off), worst.name, others.len());
        return match sure(worst) {
            TOO_MUCH_MS.. => Finding::failed(
                format!("{found}; nodes whose clocks are more than 10 s apart reject each other's blocks"),
                remedy,
            ),
            MUCH_MS.. => Finding::warning(found, remedy),
            _ => {
                Finding::ok(format!("within {} of {} nodes", seconds(off.max(worst.within_ms)), others.len()))
            }
        };
    }
    match block {
        Some(ahead) if ahead >= TOO_MUCH_MS => {
            Finding::failed(format!("the latest block is {} ahead of this clock", seconds(ahead)), remedy)
        }
        Some(ahead) if ahead >= MUCH_MS => {
            Finding::warning(format!("the latest block is {} ahead of this clock", seconds(ahead)), remedy)
        }
        _ => Finding::none("no other node to compare with; name one with --rpc URL"),
    }
}

/// The difference that is there for certain.
fn sure(other: &Other) -> i64 {
    other.ahead_ms.saturating_abs().saturating_sub(other.within_ms).max(0)
}

fn seconds(ms: i64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn other(ahead_ms: i64, within_ms: i64) -> Other {
        Other { name: "http://a:1".into(), ahead_ms, within_ms }
    }

    #[test]
    fn clocks_that_differ_are_told() {
        for (ahead, within, status) in [
            (40, 5, Status::Ok),
            (-1_900, 0, Status::Ok),
            (3_000, 100, Status::Warning),
            (-3_000, 2_500, Status::Ok),
            (10_500, 100, Status::Failed),
            (-60_000, 0, Status::Failed),
        ] {
            let found = agreement(&[other(1, 1), other(ahead, within)], None);
            assert_eq!(found.status, status, "{ahead} {within}: {found:?}");
        }
        assert!(agreement(&[other(-60_000, 0)], None).found.starts_with("60.0 s ahead of http://a:1"));
    }

    #[test]
    fn without_others_a_block_from_the_future_counts() {
        assert_eq!(agreement(&[], None).status, Status::NotApplicable);
        assert_eq!(agreement(&[], Some(500)).status, Status::NotApplicable);
        assert_eq!(agreement(&[], Some(11_000)).status, Status::Failed);
    }
}
