//! Choosing host keys: is any host's work lighter, on hardware that skips zeros?

use crate::function::{self, Cheat, Point};
use crate::lab::{Lab, SEED, parallel};
use crate::report::Table;
use freeway_sprint::Input;

/// Counts operands that are zero.
#[derive(Clone, Debug, Default)]
struct Zeros {
    zeros: u64,
    operands: u64,
}

impl Cheat for Zeros {
    fn values(&mut self, _layer: usize, point: Point, values: &mut [i8]) -> u64 {
        if matches!(point, Point::Normed | Point::NormedAgain | Point::Attended | Point::Gated) {
            self.zeros += values.iter().filter(|value| **value == 0).count() as u64;
            self.operands += values.len() as u64;
        }
        0
    }
}

/// The share of zeros of a host's first nonces.
fn zeros(lab: &Lab, host: u64, nonces: u64) -> f64 {
    let mut bytes = [0x61; 32];
    bytes[..8].copy_from_slice(&host.to_le_bytes());
    let mut counted = Zeros::default();
    for nonce in 0..nonces {
        function::run(&lab.net, &Input { seed: SEED, host: bytes, device: 0, nonce }, &mut counted);
    }
    counted.zeros as f64 / counted.operands as f64
}

/// The distribution over many hosts of the zeros in one nonce and in several.
pub(crate) fn study(lab: &Lab, hosts: usize, table: &mut Table) {
    for nonces in [1, 16] {
        let mut shares = parallel(lab.threads, hosts, |host| zeros(lab, host as u64, nonces));
        shares.sort_by(f64::total_cmp);
        let mean = shares.iter().sum::<f64>() / hosts as f64;
        let deviation = (shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / hosts as f64).sqrt();
        let most = shares.last().copied().unwrap_or(0.0);
        let shown = |share: f64| format!("{:.3} %", 100.0 * share);
        table.row([
            lab.shape().to_string(),
            hosts.to_string(),
            nonces.to_string(),
            shown(mean),
            shown(deviation),
            shown(most),
            shown((most - mean) / (1.0 - mean)),
        ]);
    }
}
