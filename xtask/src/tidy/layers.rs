//! Dependencies run downwards: apps -> services -> {platform, compute} -> protocol.

use std::collections::BTreeMap;

use crate::tidy::Violation;
use crate::workspace::{Dependency, Manifest, Table, Workspace};

/// Rejects upward and sideways edges between crates of the tree.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let layers: BTreeMap<&str, &str> =
        workspace.manifests.iter().map(|manifest| (manifest.name.as_str(), manifest.layer())).collect();
    let edges = workspace
        .manifests
        .iter()
        .flat_map(|manifest| manifest.dependencies.iter().map(move |dependency| (manifest, dependency)));
    edges
        .filter_map(|(manifest, dependency)| {
            let to = layers.get(dependency.crate_name())?;
            let remedy = objection(manifest.layer(), to, dependency.table)?;
            Some(violation(manifest, dependency, to, remedy))
        })
        .collect()
}

fn violation(manifest: &Manifest, dependency: &Dependency, to: &str, remedy: &str) -> Violation {
    let (from, name) = (&manifest.name, dependency.crate_name());
    Violation::new(
        &manifest.path,
        dependency.line,
        format!("`{from}` ({}) depends on `{name}` ({to})", manifest.layer()),
        remedy,
    )
}

/// Why a crate of layer `from` must not depend on one of layer `to`; `None` if it may.
fn objection(from: &str, to: &str, table: Table) -> Option<&'static str> {
    const UPWARD: &str = "dependencies run apps -> services -> {platform, compute} -> protocol: move the shared \
                          type down, or pass what is needed as a trait or an argument";
    match (from, to) {
        (_, "xtask") | ("xtask", _) => Some("xtask stands alone, so that it works on a broken tree"),
        (_, "fuzz") => Some("the fuzz targets stand outside the workspace; nothing depends on them"),
        ("fuzz" | "testing", _) => None,
        (_, "testing") if table == Table::Dev => None,
        (_, "testing") => Some("nothing that ships depends on testing: use [dev-dependencies]"),
        ("protocol", "protocol") => None,
        ("platform", "platform") => {
            Some("crates of platform are independent of each other: they meet in a service, through a trait")
        }
        ("platform", "compute") | ("compute", "platform") => {
            Some("platform and compute do not meet below services: join them in a service")
        }
        ("platform" | "compute", "protocol") | ("compute", "compute") => None,
        ("services", "protocol" | "platform" | "compute" | "services") => None,
        ("apps", "apps") => {
            Some("applications do not depend on each other: move what is shared into a service")
        }
        ("apps", "protocol" | "platform" | "compute" | "services") => None,
        _ => Some(UPWARD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: [(&str, &str); 8] = [
        ("protocol/a/Cargo.toml", "a"),
        ("platform/b/Cargo.toml", "b"),
        ("platform/b2/Cargo.toml", "b2"),
        ("compute/c/Cargo.toml", "c"),
        ("services/d/Cargo.toml", "d"),
        ("apps/e/Cargo.toml", "e"),
        ("testing/f/Cargo.toml", "f"),
        ("xtask/Cargo.toml", "xtask"),
    ];

    /// The violations when the crate `from` depends on `to`.
    fn edge(from: &str, table: &str, to: &str) -> Vec<Violation> {
        let text = |name| match name == from {
            true => format!("[package]\nname = \"{name}\"\n[{table}]\n{to}.workspace = true\n"),
            false => format!("[package]\nname = \"{name}\"\n"),
        };
        let texts: Vec<_> = TREE.iter().map(|(path, name)| (*path, text(*name))).collect();
        let files: Vec<_> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
        check(&Workspace::of(&files))
    }

    #[test]
    fn downward_edges_are_allowed() {
        for (from, to) in [
            ("b", "a"),
            ("c", "a"),
            ("d", "a"),
            ("d", "b"),
            ("d", "c"),
            ("e", "a"),
            ("e", "d"),
            ("f", "e"),
            ("f", "a"),
            ("a", "hex"),
        ] {
            assert_eq!(edge(from, "dependencies", to), [], "{from} -> {to}");
        }
        assert_eq!(edge("a", "dev-dependencies", "f"), []);
    }

    #[test]
    fn upward_and_sideways_edges_are_rejected_with_their_line() {
        for (from, to) in [
            ("a", "b"),
            ("a", "d"),
            ("b", "b2"),
            ("b", "c"),
            ("c", "b"),
            ("b", "d"),
            ("d", "e"),
            ("d", "f"),
            ("d", "xtask"),
            ("xtask", "a"),
        ] {
            for table in ["dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
                let found = edge(from, table, to);
                assert_eq!((found.len(), found[0].line), (1, 4), "{from} -> {to}");
            }
        }
        assert_eq!(edge("a", "dev-dependencies", "b").len(), 1);
    }
}
