//! The licences of everything that is linked, direct or not.

use std::process::Command;

use serde_json::Value;

use crate::spdx;
use crate::tidy::Violation;
use crate::tidy::dependencies::{DOCUMENT, rows};
use crate::workspace::Workspace;

/// What may be linked. The reasons stand at the head of `docs/dependencies.md`.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Zlib",
];

/// A resolved package: what `cargo metadata` says that matters here.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
}

/// Asks cargo, without network, for all packages of the lock file and judges them.
pub(crate) fn check_tree(workspace: &Workspace) -> Vec<Violation> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(&workspace.root)
        .output();
    let packages = match output {
        Ok(output) if output.status.success() => parse(&output.stdout),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match packages {
        Ok(packages) => check(workspace, &packages),
        Err(reason) => vec![Violation::new(
            "Cargo.lock",
            1,
            format!("the licences could not be read: {}", reason.replace('\n', " ")),
            "run `cargo fetch --locked` once with network; if cargo says that the lock file needs an update, \
             run `cargo check` and commit Cargo.lock",
        )],
    }
}

fn parse(json: &[u8]) -> Result<Vec<Package>, String> {
    let metadata: Value = serde_json::from_slice(json).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let text = |package: &Value, key: &str| package[key].as_str().map(str::to_owned);
    packages
        .iter()
        .map(|package| {
            Ok(Package {
                name: text(package, "name").ok_or("cargo metadata has a package without a name")?,
                version: text(package, "version").ok_or("cargo metadata has a package without a version")?,
                licence: text(package, "license"),
            })
        })
        .collect()
}

/// Rejects what has no acceptable choice, and rows of the document that say another licence than the crate.
fn check(workspace: &Workspace, packages: &[Package]) -> Vec<Violation> {
    let mut violations: Vec<_> = packages.iter().filter_map(judge).collect();
    for row in rows(workspace) {
        for name in &row.names {
            let mut declared = packages.iter().filter(|package| package.name == *name).peekable();
            let agrees = |package: &Package| package.licence.as_deref() == Some(row.licence.as_str());
            if let Some(first) = declared.peek()
                && let licence = first.licence.clone().unwrap_or_default()
                && !declared.any(agrees)
            {
                violations.push(Violation::new(
                    DOCUMENT,
                    row.line,
                    format!("`{name}` declares the licence `{licence}`, the table says `{}`", row.licence),
                    "a table that is wrong about licences is worse than none; write what the crate declares",
                ));
            }
        }
    }
    violations
}

fn judge(package: &Package) -> Option<Violation> {
    let Package { name, version, licence } = package;
    let found = match licence {
        None => format!("`{name}` {version} declares no licence"),
        Some(licence) => match spdx::is_satisfied(licence, |one| ALLOWED.contains(&one)) {
            Ok(true) => return None,
            Ok(false) => format!("`{name}` {version} is under `{licence}`"),
            Err(error) => format!("`{name}` {version}: {error}"),
        },
    };
    Some(Violation::new(
        "Cargo.lock",
        1,
        found,
        "Freeway is Apache-2.0 OR MIT and must stay so when linked: replace the dependency \
         (`cargo tree --invert` shows who brings it), or argue a new licence in docs/dependencies.md",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, licence: Option<&str>) -> Package {
        Package { name: name.into(), version: "1.0.0".into(), licence: licence.map(str::to_owned) }
    }

    #[test]
    fn a_licence_without_an_acceptable_choice_is_rejected() {
        let tree = Workspace::default();
        let good = [package("a", Some("GPL-2.0-only OR MIT")), package("b", Some("MPL-2.0"))];
        assert!(check(&tree, &good).is_empty());
        for bad in [Some("AGPL-3.0-only"), Some("MIT AND SSPL-1.0"), Some("see file"), None] {
            assert_eq!(check(&tree, &[package("c", bad)]).len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn the_document_must_say_what_the_crate_declares() {
        let document = "| Crate | Version | Licence | Why |\n|---|---|---|---|\n| `a` | 1 | MIT | x |\n";
        let tree = Workspace::of(&[(DOCUMENT, document)]);
        assert!(check(&tree, &[package("a", Some("MIT"))]).is_empty());
        let found = check(&tree, &[package("a", Some("ISC"))]);
        assert_eq!((found.len(), found[0].line), (1, 3));
    }

    #[test]
    fn metadata_is_read() {
        let json = br#"{"packages":[{"name":"a","version":"1.0.0","license":null}]}"#;
        assert_eq!(parse(json).unwrap()[0].licence, None);
        assert!(parse(b"{}").is_err());
    }
}
