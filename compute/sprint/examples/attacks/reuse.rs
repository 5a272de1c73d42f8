//! Using what was computed for another nonce, host, device or seed.

use std::collections::HashSet;

use crate::function::{self, Cheat, Honest, Net, Part, Point, Run, clamp23, part_macs, step};
use crate::lab::{HOST, Lab, SEED, parallel};
use crate::report::{Table, percent};
use crate::stream;
use freeway_sprint::{Input, Trace};

/// Takes int8 values of the first layer from elsewhere, or keeps them.
#[derive(Clone, Debug, Default)]
struct Tap {
    kept: Vec<i8>,
    replay: bool,
}

impl Cheat for Tap {
    fn values(&mut self, layer: usize, point: Point, values: &mut [i8]) -> u64 {
        if layer == 0 && point == Point::Attended {
            if self.replay {
                values.copy_from_slice(&self.kept);
            } else {
                self.kept = values.to_vec();
            }
        }
        0
    }
}

/// Starts in the middle from another nonce's state, corrected by the difference of the injections so far.
#[derive(Clone, Debug)]
struct Jump {
    start: usize,
    state: Vec<i32>,
}

impl Cheat for Jump {
    fn skips(&mut self, layer: usize, _part: Part) -> bool {
        layer < self.start
    }

    fn state(&mut self, layer: usize, after: Option<Part>, h: &mut [i32]) {
        if layer == self.start && after.is_none() {
            h.copy_from_slice(&self.state);
        }
    }
}

/// The state of nonce `other` before layer `start`, with the injections of nonce `own` in place of its own.
fn borrowed(lab: &Lab, own: usize, other: usize, start: usize) -> Vec<i32> {
    let (own, other) = (stream::nonce_key(&lab.inputs[own]), stream::nonce_key(&lab.inputs[other]));
    let d = lab.shape().width();
    let mut h = vec![0; lab.shape().state_len()];
    for layer in 0..start {
        step(&lab.net, &other, layer, &mut h, &mut Honest);
    }
    for layer in 0..start {
        for (token, row) in h.chunks_exact_mut(d).enumerate() {
            let (a, b) =
                (stream::injection(&own, layer, token, d), stream::injection(&other, layer, token, d));
            for (h, (a, b)) in row.iter_mut().zip(a.iter().zip(&b)) {
                *h = clamp23(*h + ((i32::from(*a) - i32::from(*b)) << 5));
            }
        }
    }
    h
}

pub(crate) fn study(lab: &Lab, table: &mut Table) {
    let nonces = lab.inputs.len();
    let other = |index: usize| (index + 1) % nonces;
    let all = lab.macs() as u64;
    let copied: Vec<_> =
        (0..nonces).map(|index| Run { saved: all, ..lab.honest[other(index)].clone() }).collect();
    table.outcome("reuse: the whole result of another nonce", lab.compare(&copied));

    let taps = lab.run(|_| Tap::default());
    let replayed = lab.run(|index| Tap { replay: true, kept: taps[other(index)].1.kept.clone() });
    let block = part_macs(lab.shape(), lab.net.mask, Part::Attention)
        - (lab.shape().tokens() * lab.shape().width().pow(2)) as u64;
    let replayed: Vec<_> = replayed.into_iter().map(|(run, _)| Run { saved: block, ..run }).collect();
    table.outcome("reuse: attention of the first layer from another nonce", lab.compare(&replayed));

    for start in [1, lab.shape().layers() / 2] {
        let outcome = lab.try_out(|index| Jump { start, state: borrowed(lab, index, other(index), start) });
        let name = format!("reuse: {start} layers of another nonce, injections exchanged");
        table.outcome(name, outcome);
    }

    let early = Net::new(lab.shape(), lab.net.mask, &[0xee; 32], lab.threads);
    let runs: Vec<_> =
        lab.run_on(&early, |_| Honest).into_iter().map(|(run, _)| Run { saved: all, ..run }).collect();
    table.outcome("precomputation: with the weights of another seed", lab.compare(&runs));
}

/// Whether any two computations are the same.
pub(crate) fn replays(lab: &Lab, table: &mut Table) {
    let nonces = lab.inputs.len() as u64;
    type Inputs = fn(u64) -> Input;
    let kinds: [(&str, Inputs); 3] = [
        ("nonces of a device", |n| Input { seed: SEED, host: HOST, device: 0, nonce: n }),
        ("devices with the same nonce", |n| Input { seed: SEED, host: HOST, device: n as u32, nonce: 0 }),
        ("hosts with the same device and nonce", |n| {
            let mut host = HOST;
            host[0] = n as u8;
            Input { seed: SEED, host, device: 0, nonce: 0 }
        }),
    ];
    for (name, input) in kinds {
        let mut states = HashSet::new();
        let mut leaves = HashSet::new();
        let first = function::run(&lab.net, &input(0), &mut Honest).boundaries;
        let runs = parallel(lab.threads, nonces as usize, |n| {
            function::run(&lab.net, &input(n as u64), &mut Honest).boundaries
        });
        let mut replayed = 0;
        for (n, boundaries) in (0..nonces).zip(runs) {
            states.extend(boundaries.iter().copied());
            let leaf = |boundaries: &[[u8; 32]]| {
                Trace { boundaries: boundaries.to_vec() }.digest(lab.shape(), &input(n))
            };
            let honest = leaf(&boundaries);
            replayed += usize::from(n > 0 && leaf(&first) == honest);
            leaves.insert(honest);
        }
        let digests = nonces * lab.shape().groups() as u64;
        table.row([
            name.to_owned(),
            nonces.to_string(),
            format!("{} of {digests}", states.len()),
            format!("{} of {nonces}", leaves.len()),
            format!("{replayed} of {}", nonces - 1),
        ]);
    }
}

/// How near the first products of different nonces are: what differences could save.
pub(crate) fn neighbours(lab: &Lab, table: &mut Table) {
    /// Nonces that are compared with each other.
    const NONCES: u64 = 1_000;
    let d = lab.shape().width();
    let row = |nonce: u64| {
        let key = stream::nonce_key(&Input { seed: SEED, host: HOST, device: 0, nonce });
        stream::injection(&key, 0, 0, d)
    };
    let rows: Vec<_> = (0..NONCES).map(row).collect();
    let best = parallel(lab.threads, rows.len(), |index| {
        let shares = |other: &Vec<i8>| {
            let near = |within: i16| {
                let pairs = rows[index].iter().zip(other);
                pairs.filter(|(a, b)| (i16::from(**a) - i16::from(**b)).abs() <= within).count()
            };
            (near(0), near(7))
        };
        rows[..index].iter().map(shares).fold((0, 0), |best, (a, b)| (best.0.max(a), best.1.max(b)))
    });
    let most = best.iter().fold((0, 0), |most, (a, b)| (most.0.max(*a), most.1.max(*b)));
    let share = |count: usize| percent(count as f64 / d as f64);
    table.row([lab.shape().to_string(), NONCES.to_string(), share(most.0), share(most.1)]);
}
