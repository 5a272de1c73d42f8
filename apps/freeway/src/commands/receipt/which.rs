//! Which receipts are meant: by their digests or the beginning of these, in a file, or the newest.

use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use freeway_api::{KeptReceipt, ReceiptsView};
use freeway_primitives::Digest;

use super::from_file;
use crate::cli::Context;
use crate::commands::asking::{Gateway, WhichGateway};
use crate::hints::Problem;

/// The fewest digits by which a receipt is named.
const LEAST_DIGITS: usize = 8;
/// The digits of a whole digest.
const DIGITS: usize = 64;
/// The newest receipts that are looked through: a gateway lists no more.
const LOOKED_AT: u32 = 1_000;
/// So many receipts are named that begin alike.
const NAMED: usize = 8;

/// A receipt's digest, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Named {
    Whole(Digest),
    /// The first digits, in lower case.
    Start(String),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        let length = text.len();
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || !(LEAST_DIGITS..=DIGITS).contains(&length) {
            return Err(format!(
                "{text:?} names no receipt; give its digest of {DIGITS} hexadecimal digits, or the first {LEAST_DIGITS} or \
                 more of them"
            ));
        }
        if length < DIGITS {
            return Ok(Self::Start(text));
        }
        text.parse().map(Self::Whole).map_err(|error| format!("{error}"))
    }
}

impl Named {
    /// The whole digest: `gateway` is asked for what is missing.
    ///
    /// # Errors
    /// If none of its receipts begins so, or several do.
    pub(in crate::commands) async fn digest(&self, gateway: &Gateway) -> Result<Digest, Problem> {
        let start = match self {
            Self::Whole(digest) => return Ok(*digest),
            Self::Start(start) => start,
        };
        let view: ReceiptsView = gateway.get(&format!("receipts?limit={LOOKED_AT}")).await?;
        let begins = |digest: &Digest| digest.to_string().starts_with(start);
        let found = view.receipts.iter().map(|receipt| receipt.digest).filter(begins);
        one(start, found.collect())
    }
}

/// The only one of those that begin with `start`.
fn one(start: &str, mut found: Vec<Digest>) -> Result<Digest, Problem> {
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(Problem::new(
            "receipt_not_found",
            format!("none of the newest {LOOKED_AT} receipts of the gateway begins with {start}"),
        )
        .hint("`freeway receipt list` shows them; older ones are found by their whole digests")),
        several => {
            let mut names: Vec<String> = several.iter().take(NAMED).map(ToString::to_string).collect();
            if several.len() > NAMED {
                names.push(format!("and {} more", several.len() - NAMED));
            }
            let message = format!("{} receipts begin with {start}: {}", several.len(), names.join(", "));
            Err(Problem::new("ambiguous_receipt", message).hint("give more digits"))
        }
    }
}

/// Which receipt, and where it is kept.
#[derive(Clone, Debug, Args)]
pub(in crate::commands) struct WhichReceipt {
    /// The receipt's digest, or at least its first 8 digits.
    #[arg(value_name = "RECEIPT", required_unless_present = "file")]
    receipt: Option<Named>,

    /// Read it from a file, as `freeway receipt show --json` writes it, instead of asking the gateway.
    #[arg(long, value_name = "FILE", conflicts_with = "receipt")]
    file: Option<PathBuf>,

    #[command(flatten)]
    gateway: WhichGateway,
}

impl WhichReceipt {
    /// The receipt, with all that was kept of it.
    ///
    /// # Errors
    /// If it is not there, or does not read.
    pub(in crate::commands) async fn get(&self, context: &Context) -> Result<KeptReceipt, Problem> {
        match (&self.file, &self.receipt) {
            (Some(file), _) => from_file(file),
            (None, Some(named)) => {
                let gateway = self.gateway.gateway(context)?;
                gateway.receipt(&named.digest(&gateway).await?).await
            }
            (None, None) => {
                Err(Problem::usage("there is no receipt").hint("name one, or a file with --file"))
            }
        }
    }
}

/// Which receipts, and where they are kept.
#[derive(Clone, Debug, Args)]
pub(super) struct WhichReceipts {
    /// The receipts' digests, or at least the first 8 digits of each.
    #[arg(value_name = "RECEIPT", required_unless_present_any = ["file", "last"])]
    receipts: Vec<Named>,

    /// Read a receipt from a file, as `freeway receipt show --json` writes it, instead of asking the gateway.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["receipts", "last"])]
    file: Option<PathBuf>,

    /// The newest receipts of the gateway: so many, or one.
    #[arg(long, value_name = "N", conflicts_with = "receipts", num_args = 0..=1, default_missing_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    last: Option<u32>,

    #[command(flatten)]
    gateway: WhichGateway,
}

/// Receipts that are fetched one after the other.
pub(super) struct Receipts {
    digests: std::vec::IntoIter<Digest>,
    gateway: Option<Gateway>,
    file: Option<KeptReceipt>,
    /// How many there are in all.
    pub(super) count: usize,
}

impl WhichReceipts {
    /// Finds them.
    ///
    /// # Errors
    /// If one is not there, or does not read.
    pub(super) async fn find(&self, context: &Context) -> Result<Receipts, Problem> {
        if let Some(file) = &self.file {
            let (digests, file) = (Vec::new().into_iter(), Some(from_file(file)?));
            return Ok(Receipts { digests, gateway: None, file, count: 1 });
        }
        let gateway = self.gateway.gateway(context)?;
        let mut digests = Vec::new();
        for named in &self.receipts {
            digests.push(named.digest(&gateway).await?);
        }
        if let Some(last) = self.last {
            let view: ReceiptsView = gateway.get(&format!("receipts?limit={last}")).await?;
            digests.extend(view.receipts.iter().map(|receipt| receipt.digest));
        }
        if digests.is_empty() {
            return Err(Problem::new("receipt_not_found", "the gateway has no receipts yet")
                .hint("hosts are paid once a lane is open; ask something with `freeway chat`"));
        }
        // Twice the same is looked at once.
        let mut seen = HashSet::new();
        digests.retain(|digest| seen.insert(*digest));
        let count = digests.len();
        Ok(Receipts { digests: digests.into_iter(), gateway: Some(gateway), file: None, count })
    }
}

impl Receipts {
    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// If it is not there any more, or does not read.
    pub(super) async fn next(&mut self) -> Result<Option<KeptReceipt>, Problem> {
        match (&self.gateway, self.digests.next()) {
            (Some(gateway), Some(digest)) => gateway.receipt(&digest).await.map(Some),
            _ => Ok(self.file.take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_named_by_its_beginning() {
        let whole = Digest([0xab; 32]);
        assert_eq!(whole.to_string().parse(), Ok(Named::Whole(whole)));
        assert_eq!("ABABABAB".parse(), Ok(Named::Start("abababab".into())));
        for wrong in ["", "abababa", "abababag", &"ab".repeat(33), "äääääääää"] {
            assert!(wrong.parse::<Named>().is_err_and(|told| told.contains("8 or more")), "{wrong}");
        }
    }

    #[test]
    fn what_begins_alike_is_listed() {
        let [one_of, other] = [Digest([0xab; 32]), Digest([0xcd; 32])];
        assert_eq!(one("abababab", vec![one_of, one_of]), Ok(one_of));
        let problem = one("ab", vec![one_of, other]).unwrap_err();
        assert_eq!(problem.code(), "ambiguous_receipt");
        assert!(
            problem.message().contains(&one_of.to_string()) && problem.message().contains(&other.to_string())
        );
        assert_eq!(one("ab", Vec::new()).unwrap_err().code(), "receipt_not_found");
        let many = (0..9).map(|byte| Digest([byte; 32])).collect();
        assert!(one("0", many).unwrap_err().message().contains("and 1 more"));
    }
}
