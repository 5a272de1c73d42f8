//! The packages of the models that a node serves: there, and intact.

use std::path::{Path, PathBuf};
use std::time::Duration;

use freeway_models::{Entry, Library, Package, guide};
use freeway_node::NodeConfig;
use tokio::time::timeout;

use super::finding::{Check, Finding};

/// How long all packages may take to be read; large ones are told as not read to the end.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn checks(config: &NodeConfig, fast: bool) -> Vec<Check> {
    let mut wanted: Vec<(PathBuf, String)> = Vec::new();
    if let Some(serve) = &config.serve {
        wanted.extend(serve.models.iter().map(|model| (serve.folder.clone(), model.clone())));
    }
    if let Some(gateway) = &config.gateway {
        wanted.extend(gateway.serve.iter().map(|model| (gateway.models.clone(), model.clone())));
    }
    wanted.sort();
    wanted.dedup_by(|one, other| one.1 == other.1);
    if wanted.is_empty() {
        return vec![Check::new("models", "packages", Finding::none("no models are served"))];
    }
    let work = tokio::task::spawn_blocking(move || {
        wanted.iter().map(|(folder, model)| package(model, look(folder, model, fast))).collect::<Vec<_>>()
    });
    let findings = match timeout(PATIENCE, work).await {
        Ok(Ok(findings)) => findings,
        _ => vec![Finding::warning(
            format!("the packages were not read within {} s", PATIENCE.as_secs()),
            "check them one by one with `freeway model show NAME --verify`, or leave this out with --fast",
        )],
    };
    findings.into_iter().map(|finding| Check::new("models", "packages", finding)).collect()
}

/// What is known of a package.
#[derive(Debug)]
enum Found {
    BuiltIn,
    /// Bytes, and whether all of them were looked at.
    Whole(u64, bool),
    Missing(String),
    Damaged(String),
}

fn look(folder: &Path, model: &str, fast: bool) -> Found {
    if is_guide(model) {
        return Found::BuiltIn;
    }
    let (library, entry) = match entry(folder, model) {
        Ok(found) => found,
        Err(error) => return Found::Missing(error),
    };
    let opened = library.package(&entry).map_err(|error| error.to_string());
    let verified = opened.and_then(|package: Package| {
        if !fast {
            package.verify(&mut |_| {}).map_err(|error| error.to_string())?;
        }
        Ok(package.bytes())
    });
    match verified {
        Ok(bytes) => Found::Whole(bytes, !fast),
        Err(error) => Found::Damaged(error),
    }
}

/// A package of the folder. The folder is not made if it is not there.
pub(super) fn entry(folder: &Path, model: &str) -> Result<(Library, Entry), String> {
    if !folder.is_dir() {
        return Err(format!("there is no folder {}", folder.display()));
    }
    let library = Library::open(folder).map_err(|error| error.to_string())?;
    let entry = library.find(model).map_err(|error| error.to_string())?;
    Ok((library, entry))
}

/// Whether the built-in model is meant.
pub(super) fn is_guide(model: &str) -> bool {
    model == guide::NAME || model == guide::package().root().to_string()
}

/// How much memory a package takes; nothing if it is not there.
pub(super) fn package_bytes(folder: &Path, model: &str) -> u64 {
    if is_guide(model) {
        return guide::package().bytes();
    }
    entry(folder, model).map_or(0, |(_, entry)| entry.bytes)
}

fn package(model: &str, found: Found) -> Finding {
    match found {
        Found::BuiltIn => Finding::ok(format!("{model}: built in")),
        Found::Whole(bytes, true) => Finding::ok(format!("{model}: {} MiB, intact", bytes >> 20)),
        Found::Whole(bytes, false) => Finding::ok(format!("{model}: {} MiB, there", bytes >> 20)),
        Found::Missing(error) => Finding::failed(
            format!("{model}: {}", super::net::first_half(&error)),
            "`freeway model pack` makes it, `freeway model add` takes one that somebody sent; or take it off the list",
        ),
        Found::Damaged(error) => Finding::failed(
            format!("{model}: {}", super::net::first_half(&error)),
            format!(
                "`freeway model remove {model}`, and get it again from where it came: answers with it are wrong"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn missing_and_damaged_packages_are_told() {
        assert_eq!(package("a", Found::BuiltIn).status, Status::Ok);
        assert_eq!(package("a", Found::Whole(1, true)).status, Status::Ok);
        assert_eq!(package("a", Found::Missing("no".into())).status, Status::Failed);
        let damaged = package("a", Found::Damaged("no".into()));
        assert!(damaged.status == Status::Failed && damaged.remedy.unwrap().contains("model remove a"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        assert!(matches!(look(&models, "nobody", false), Found::Missing(_)));
        assert!(!models.exists() && package_bytes(&models, "nobody") == 0);
        assert!(matches!(look(&models, "guide", false), Found::BuiltIn));
        assert!(package_bytes(&models, "guide") > 0);
    }
}
