//! `freeway sprint verify`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use freeway_primitives::{Address, Digest};
use freeway_proofs::sprint::{Trace, leaf};
use freeway_sprint::verify::VerifyError;
use freeway_sprint::{Input, Model, Shape, verify};
use serde::{Deserialize, Serialize};

use super::machine::{Machine, compute};
use crate::cli::Context;
use crate::files::read_bounded;
use crate::hints::Problem;
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway sprint verify leaves.json
  freeway sprint verify - --json < leaves.json | jq '.leaves[] | select(.valid | not)'

The leaves are given as
  {\"shape\":\"tiny\",\"seed\":\"<hex>\",\"host\":\"<address>\",\"device\":0,\"leaves\":[{\"nonce\":5,\"leaf\":\"<hex>\"}]}
with at most 4,096 leaves. If one of them is wrong, the exit code is 1.";

/// The most leaves.
const MAX_LEAVES: usize = 4_096;
/// The longest file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Options of `freeway sprint verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    /// The leaves as JSON; - reads standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    #[command(flatten)]
    machine: Machine,
}

/// What a host says that it computed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    shape: String,
    #[serde(with = "freeway_api::text")]
    seed: Digest,
    #[serde(with = "freeway_api::text")]
    host: Address,
    #[serde(default)]
    device: u32,
    leaves: Vec<ClaimedLeaf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimedLeaf {
    nonce: u64,
    #[serde(with = "freeway_api::text")]
    leaf: Digest,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    shape: String,
    #[serde(with = "freeway_api::text")]
    seed: Digest,
    #[serde(with = "freeway_api::text")]
    host: Address,
    device: u32,
    valid: usize,
    invalid: usize,
    leaves: Vec<FoundLeaf>,
}

#[derive(Debug, Serialize)]
struct FoundLeaf {
    nonce: u64,
    /// What was claimed.
    #[serde(with = "freeway_api::text")]
    leaf: Digest,
    valid: bool,
    /// What it is.
    #[serde(with = "freeway_api::text")]
    computed: Digest,
}

impl Show for Found {
    fn show(&self, page: &mut Page) {
        page.fields([
            ("shape", self.shape.clone()),
            ("seed", self.seed.to_string()),
            ("host", self.host.to_string()),
            ("device", self.device.to_string()),
            ("leaves", format!("{} valid, {} invalid", self.valid, self.invalid)),
        ]);
        page.gap();
        let row = |found: &FoundLeaf| {
            let verdict = if found.valid { "valid" } else { "invalid" };
            let computed = if found.valid { String::new() } else { found.computed.to_string() };
            vec![found.nonce.to_string(), verdict.to_owned(), found.leaf.to_string(), computed]
        };
        let columns =
            [Column::right("NONCE"), Column::left("VERDICT"), Column::left("LEAF"), Column::left("COMPUTED")];
        page.table(&columns, self.leaves.iter().map(row));
    }
}

impl Verify {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let (backend, threads) = (self.machine.backend()?, self.machine.threads());
        let (shape, claim) = read(&self.file)?;
        let what = format!("recomputing {} nonces of shape {shape} with {backend}", claim.leaves.len());
        let inputs: Vec<Input> = claim.leaves.iter().map(|claimed| claim.input(claimed.nonce)).collect();
        let model = Model::streamed(shape, claim.seed.0);
        let recompute = move || {
            let traces = verify::traces(&model, backend, threads, &inputs)?;
            let digests = traces.iter().zip(&inputs).map(|(trace, input)| trace.digest(shape, input));
            Ok(digests.map(|trace| leaf(&Trace(trace))).collect::<Vec<Digest>>())
        };
        let computed = compute(context.output(), what, recompute).await?;
        let found = claim.compare(computed);
        context.output().result(&found)?;
        match found.invalid {
            0 => Ok(()),
            wrong => {
                let message = format!("{wrong} of {} leaves are wrong", found.leaves.len());
                Err(Problem::new("wrong_leaves", message).hint(
                    "check shape, seed, host and device first; with another of these every leaf is wrong",
                ))
            }
        }
    }
}

impl Claim {
    fn input(&self, nonce: u64) -> Input {
        Input { seed: self.seed.0, host: self.host.0, device: self.device, nonce }
    }

    fn compare(self, computed: Vec<Digest>) -> Found {
        let compared = self.leaves.iter().zip(computed).map(|(claimed, computed)| FoundLeaf {
            nonce: claimed.nonce,
            leaf: claimed.leaf,
            valid: claimed.leaf == computed,
            computed,
        });
        let leaves: Vec<FoundLeaf> = compared.collect();
        let valid = leaves.iter().filter(|found| found.valid).count();
        Found {
            shape: self.shape,
            seed: self.seed,
            host: self.host,
            device: self.device,
            valid,
            invalid: leaves.len() - valid,
            leaves,
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Unavailable(error) => error.into(),
            error => Self::new("defect", error.to_string()),
        }
    }
}

/// The claim in a file, and its shape.
fn read(path: &Path) -> Result<(Shape, Claim), Problem> {
    let bytes = if path.as_os_str() == "-" { read_stdin()? } else { read_bounded(path, MAX_BYTES)? };
    let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    let bad = |detail: &dyn std::fmt::Display| {
        Problem::told("invalid_leaves", format!("{name}: {detail}"))
            .or_hint("`freeway sprint verify --help` shows how leaves are given")
    };
    let claim: Claim = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
    let shape: Shape = claim.shape.parse().map_err(|error| bad(&error))?;
    if claim.leaves.is_empty() {
        return Err(bad(&"there are no leaves; give at least one"));
    }
    if claim.leaves.len() > MAX_LEAVES {
        let count = claim.leaves.len();
        return Err(bad(&format_args!("{count} leaves are more than {MAX_LEAVES}; check them in parts")));
    }
    Ok((shape, claim))
}

fn read_stdin() -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| {
        Problem::new("file", format!("cannot read standard input: {error}")).hint("give a file instead of -")
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::new("file", format!("standard input has more than {MAX_BYTES} bytes"))
            .hint("check the leaves in parts"));
    }
    Ok(bytes)
}
