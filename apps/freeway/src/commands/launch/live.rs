//! The line that shows how the network is doing.

use std::collections::VecDeque;
use std::time::Duration;

use freeway_api::Client;
use tokio::time::Instant;

use super::children::Children;
use super::folder::Folder;
use crate::hints::Problem;
use crate::network_file::NetworkFile;
use crate::output::Output;

/// How often the line is renewed.
const RENEW: Duration = Duration::from_millis(500);
/// Renewals over which the pace is measured.
const WINDOW: usize = 20;

/// Shows the state of the network until no node is left.
pub(crate) async fn follow(
    children: &mut Children,
    folder: &Folder,
    mut file: NetworkFile,
    output: Output,
) -> Result<(), Problem> {
    let clients: Vec<Client> = file.rpc.iter().filter_map(|url| Client::new(url).ok()).collect();
    let mut progress = output.progress();
    let mut tick = tokio::time::interval(RENEW);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen: VecDeque<(Instant, u64)> = VecDeque::new();
    loop {
        tokio::select! {
            ended = children.next_end() => {
                let problem = ended?;
                progress.set("");
                output.note(&problem);
            }
            _ = tick.tick() => {
                if children.revive()? {
                    // What was started again has another process.
                    file.pids = children.pids();
                    file.gateway_pid = children.gateway_pid();
                    folder.announce(&file)?;
                }
                // Any host that answers will do.
                let mut status = None;
                for client in &clients {
                    if let Ok(answer) = client.status().await {
                        status = Some(answer);
                        break;
                    }
                }
                let Some(status) = status else {
                    progress.set("no node answers");
                    continue;
                };
                seen.push_back((Instant::now(), status.height));
                if seen.len() > WINDOW {
                    seen.pop_front();
                }
                let pace = match (seen.front(), seen.back()) {
                    (Some((from, low)), Some((to, high))) if to > from => {
                        (high.saturating_sub(*low)) as f64 / (*to - *from).as_secs_f64()
                    }
                    _ => 0.0,
                };
                let catching_up = if status.synced { "" } else { "catching up: " };
                progress.set(format!(
                    "{catching_up}height {}  epoch {} {}  race {}  {pace:.1} blocks/s  {} waiting  {} hosts",
                    status.height,
                    status.epoch,
                    status.phase,
                    status.sprint.stage.replace('_', " "),
                    status.mempool.transactions,
                    status.hosts.len(),
                ));
            }
        }
    }
}
