//! `docs/dependencies.md` lists every direct dependency, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::Violation;
use crate::workspace::{Dependency, ROOT_MANIFEST, Workspace};

/// The document.
pub(crate) const DOCUMENT: &str = "docs/dependencies.md";

/// A row of the document: `` | `a`, `b` | version | licence | why | ``.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The crates it is about.
    pub(crate) names: Vec<String>,
    /// The version requirement, as in the manifest.
    pub(crate) version: String,
    /// The licence, as the crates declare it.
    pub(crate) licence: String,
    /// Its line.
    pub(crate) line: usize,
}

/// The rows of the document's tables; a row begins with a crate in backticks.
pub(crate) fn rows(workspace: &Workspace) -> Vec<Row> {
    let Some(document) = workspace.file(DOCUMENT) else { return Vec::new() };
    document.lines().filter_map(|(line, text)| row(line, text)).collect()
}

fn row(line: usize, text: &str) -> Option<Row> {
    let mut cells = text.strip_prefix('|')?.split('|').map(str::trim);
    let first = cells.next().filter(|cell| cell.starts_with('`'))?;
    let names = first.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut bare = || cells.next().unwrap_or_default().trim_matches('`').to_owned();
    Some(Row { names, version: bare(), licence: bare(), line })
}

/// Compares the document with the manifests.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let shared: BTreeMap<&str, &Dependency> =
        workspace.shared.iter().map(|dependency| (dependency.key.as_str(), dependency)).collect();
    let mut used: BTreeMap<&str, (&str, usize, &Dependency)> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for manifest in &workspace.manifests {
        for dependency in &manifest.dependencies {
            keys.insert(dependency.key.as_str());
            let stated = if dependency.inherited { shared.get(dependency.key.as_str()) } else { None };
            let stated = *stated.unwrap_or(&dependency);
            if !stated.local {
                used.entry(stated.crate_name()).or_insert((&manifest.path, dependency.line, stated));
            }
        }
    }
    let mut violations = unused(workspace, &keys);
    let rows = rows(workspace);
    let listed: BTreeMap<&str, &Row> =
        rows.iter().flat_map(|row| row.names.iter().map(move |name| (name.as_str(), row))).collect();
    for (name, (path, line, dependency)) in &used {
        let required = dependency.version.as_deref().unwrap_or_default();
        match listed.get(name) {
            None => violations.push(Violation::new(
                *path,
                *line,
                format!("`{name}` is missing from {DOCUMENT}"),
                "say there what it is for, under which licence, and what else was considered",
            )),
            Some(row) if row.version != required => violations.push(Violation::new(
                DOCUMENT,
                row.line,
                format!("`{name}` is required as `{required}`, the table says `{}`", row.version),
                "bring the table up to date, and read what changed in the crate",
            )),
            Some(_) => {}
        }
    }
    for (name, row) in listed {
        if !used.contains_key(name) {
            violations.push(Violation::new(
                DOCUMENT,
                row.line,
                format!("`{name}` is listed, but no crate uses it"),
                "remove the row",
            ));
        }
    }
    violations
}

/// Entries of the workspace's table that no manifest takes.
fn unused(workspace: &Workspace, used: &BTreeSet<&str>) -> Vec<Violation> {
    let unused = workspace.shared.iter().filter(|dependency| !used.contains(dependency.key.as_str()));
    unused
        .map(|dependency| {
            Violation::new(
                ROOT_MANIFEST,
                dependency.line,
                format!("no crate uses `{}`", dependency.key),
                "remove it from [workspace.dependencies]",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\n[workspace.dependencies]\nhex = \"0.4\"\nmine = { path = \"x\" }\n\
                        alias = { package = \"real\", version = \"=2\" }\n";
    const CRATE: &str = "[package]\nname = \"x\"\n[dependencies]\nhex.workspace = true\nmine.workspace = true\n\
                         [dev-dependencies]\nalias.workspace = true\n";

    fn found(root: &str, manifest: &str, document: &str) -> Vec<String> {
        let tree =
            Workspace::of(&[("Cargo.toml", root), ("protocol/x/Cargo.toml", manifest), (DOCUMENT, document)]);
        check(&tree).into_iter().map(|violation| violation.found).collect()
    }

    #[test]
    fn a_complete_document_passes() {
        let document =
            "# Title\n| Crate | Version |\n|---|---|\n| `hex` | 0.4 | MIT | x |\n| `real` | =2 | MIT | y |\n";
        assert_eq!(found(ROOT, CRATE, document), Vec::<String>::new());
    }

    #[test]
    fn missing_stale_and_unused_entries_are_rejected() {
        let document = "| `hex`, `gone` | 0.3 | MIT | x |\n";
        let all = found(&format!("{ROOT}spare = \"1\"\n"), CRATE, document);
        assert_eq!(
            all,
            [
                "no crate uses `spare`",
                "`hex` is required as `0.4`, the table says `0.3`",
                "`real` is missing from docs/dependencies.md",
                "`gone` is listed, but no crate uses it",
            ]
        );
    }
}
