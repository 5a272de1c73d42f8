//! What rules need to know of a `Cargo.toml`, each with its line.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// In which of a manifest's tables a dependency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// `[dependencies]`, or that of a target.
    Normal,
    /// `[build-dependencies]`.
    Build,
    /// `[dev-dependencies]`.
    Dev,
}

impl Table {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Normal, "dependencies"),
        (Self::Build, "build-dependencies"),
        (Self::Dev, "dev-dependencies"),
    ];
}

/// One dependency of a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The name on the left.
    pub(crate) key: String,
    /// The crate's own name, if `package` gives another.
    pub(crate) package: Option<String>,
    /// The version requirement, if stated here.
    pub(crate) version: Option<String>,
    /// Whether it lies in this tree (`path`).
    pub(crate) local: bool,
    /// Whether it says `workspace = true`.
    pub(crate) inherited: bool,
    /// Its table.
    pub(crate) table: Table,
    /// Its line.
    pub(crate) line: usize,
}

impl Dependency {
    /// The crate's name in the registry or in this tree.
    pub(crate) fn crate_name(&self) -> &str {
        self.package.as_deref().unwrap_or(&self.key)
    }
}

/// The manifest of one crate.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Path from the root.
    pub(crate) path: String,
    /// The crate's name.
    pub(crate) name: String,
    /// `description`.
    pub(crate) description: Option<String>,
    /// Whether `[lints] workspace = true`.
    pub(crate) lints: bool,
    /// Whether `version.workspace = true`.
    pub(crate) version: bool,
    /// All dependencies.
    pub(crate) dependencies: Vec<Dependency>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// A message if it is not TOML or has no `[package] name`.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|error| format!("{path}: {error}"))?;
        let document = document.get_ref();
        let package = table(document, "package").ok_or_else(|| format!("{path}: no [package]"))?;
        let name = string(package, "name").ok_or_else(|| format!("{path}: no package name"))?;
        let mut dependencies = tables(document, text);
        for (_, target) in table(document, "target").into_iter().flatten() {
            dependencies.extend(target.get_ref().as_table().map(|t| tables(t, text)).unwrap_or_default());
        }
        Ok(Self {
            path: path.to_owned(),
            name,
            description: string(package, "description"),
            lints: inherits(table(document, "lints")),
            version: inherits(table(package, "version")),
            dependencies,
        })
    }

    /// The crate's folder from the root.
    pub(crate) fn folder(&self) -> &str {
        self.path.strip_suffix("/Cargo.toml").unwrap_or(&self.path)
    }

    /// The crate's layer: the first part of its folder.
    pub(crate) fn layer(&self) -> &str {
        self.folder().split('/').next().unwrap_or_default()
    }
}

/// The members and shared dependencies of the root manifest.
///
/// # Errors
/// A message if it is not TOML.
pub(super) fn parse_root(text: &str) -> Result<(BTreeSet<String>, Vec<Dependency>), String> {
    let document = DeTable::parse(text).map_err(|error| format!("Cargo.toml: {error}"))?;
    let Some(workspace) = table(document.get_ref(), "workspace") else {
        return Err("Cargo.toml: no [workspace]".to_owned());
    };
    let members = workspace.get("members").and_then(|members| members.get_ref().as_array());
    let members = members
        .into_iter()
        .flatten()
        .filter_map(|member| member.get_ref().as_str().map(str::to_owned))
        .collect();
    Ok((members, dependencies(workspace, "dependencies", Table::Normal, text)))
}

fn tables(parent: &DeTable<'_>, text: &str) -> Vec<Dependency> {
    Table::ALL.into_iter().flat_map(|(kind, key)| dependencies(parent, key, kind, text)).collect()
}

fn dependencies(parent: &DeTable<'_>, key: &str, kind: Table, text: &str) -> Vec<Dependency> {
    table(parent, key)
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let line = 1 + text[..name.span().start.min(text.len())].matches('\n').count();
            dependency(name.get_ref(), value, kind, line)
        })
        .collect()
}

fn dependency(key: &str, value: &Spanned<DeValue<'_>>, table: Table, line: usize) -> Dependency {
    let details = value.get_ref().as_table();
    let detail = |name| details.and_then(|details| string(details, name));
    Dependency {
        key: key.to_owned(),
        package: detail("package"),
        version: value.get_ref().as_str().map(str::to_owned).or_else(|| detail("version")),
        local: detail("path").is_some(),
        inherited: inherits(details),
        table,
        line,
    }
}

fn table<'t, 'i>(parent: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    parent.get(key)?.get_ref().as_table()
}

fn string(parent: &DeTable<'_>, key: &str) -> Option<String> {
    parent.get(key)?.get_ref().as_str().map(str::to_owned)
}

/// Whether a table says `workspace = true`.
fn inherits(table: Option<&DeTable<'_>>) -> bool {
    table.and_then(|table| table.get("workspace")?.get_ref().as_bool()).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_with_lines() {
        let text = "[package]\nname = \"freeway-x\"\nversion.workspace = true\n\n[dependencies]\n\
                    hex.workspace = true\nbad = \"1\"\n[target.'cfg(unix)'.dev-dependencies]\n\
                    other = { package = \"real\", version = \"=2\" }\n[lints]\nworkspace = true\n";
        let manifest = Manifest::parse("protocol/x/Cargo.toml", text).unwrap();
        assert_eq!((manifest.layer(), manifest.folder()), ("protocol", "protocol/x"));
        assert!(manifest.lints && manifest.version && manifest.description.is_none());
        let found = |key| manifest.dependencies.iter().find(|dependency| dependency.key == key).unwrap();
        assert!(found("hex").inherited && found("hex").line == 6);
        assert!(!found("bad").inherited && found("bad").version.as_deref() == Some("1"));
        let other = found("other");
        assert_eq!((other.crate_name(), other.line, other.table), ("real", 9, Table::Dev));
    }

    #[test]
    fn the_root_is_read() {
        let text =
            "[workspace]\nmembers = [\"a\"]\n[workspace.dependencies]\nx = { path = \"a\" }\ny = \"1\"\n";
        let (members, shared) = parse_root(text).unwrap();
        assert!(members.contains("a"));
        assert_eq!(shared.iter().filter(|dependency| dependency.local).count(), 1);
        assert!(parse_root("[package]").is_err());
    }
}
