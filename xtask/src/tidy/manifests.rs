//! What every manifest of the workspace says: name, description, lints, versions, and no serde below services
//! but for crates that read JSON.

use crate::tidy::Violation;
use crate::workspace::{Dependency, Manifest, Workspace};

/// The crate with the `main` that users install; its name is the product's.
const APPLICATION: &str = "apps/freeway";

/// Below services, those whose input is JSON of other people: the files of models and the answers of servers.
const READ_JSON: [&str; 2] = ["compute/models", "compute/engines"];

/// A workspace of its own, because of what its framework brings.
const TRAINER: &str = "compute/training";

/// Checks all manifests of members. The fuzz targets and the trainer stand outside the workspace and are exempt.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    let apart = |manifest: &&Manifest| manifest.layer() != "fuzz" && manifest.folder() != TRAINER;
    for manifest in workspace.manifests.iter().filter(apart) {
        let mut reject = |line, found: String, remedy: &str| {
            violations.push(Violation::new(&manifest.path, line, found, remedy));
        };
        let (name, expected) = (&manifest.name, expected_name(manifest));
        if *name != expected {
            reject(1, format!("`{name}` should be named `{expected}`"), "a crate is named after its folder");
        }
        if !workspace.members.contains(manifest.folder()) {
            reject(
                1,
                format!("`{name}` is no member of the workspace"),
                "list its folder in the root Cargo.toml",
            );
        }
        if manifest.layer() != "xtask"
            && manifest.description.as_deref().is_none_or(|text| text.trim().is_empty())
        {
            reject(
                1,
                format!("`{name}` has no description"),
                "write one line of it; the README's crate map shows it",
            );
        }
        if !manifest.lints {
            reject(
                1,
                format!("`{name}` has lints of its own"),
                "add `[lints] workspace = true`: one set for all",
            );
        }
        if !manifest.version {
            reject(1, format!("`{name}` has a version of its own"), "write `version.workspace = true`");
        }
        for dependency in &manifest.dependencies {
            if !dependency.inherited {
                reject(
                    dependency.line,
                    format!("`{}` is not taken from the workspace's table", dependency.key),
                    "one version of a crate for all: state it in the root Cargo.toml, write `.workspace = true` here",
                );
            }
            if is_serde(dependency)
                && matches!(manifest.layer(), "protocol" | "platform" | "compute")
                && !READ_JSON.contains(&manifest.folder())
            {
                reject(
                    dependency.line,
                    format!("`{}` below services", dependency.key),
                    "serde stands at the edge (services and above, and the crates of compute that read other \
                     people's JSON): what is hashed, signed or stored has the canonical encoding and no second \
                     one; write a wire type in services/api",
                );
            }
        }
    }
    violations
}

fn expected_name(manifest: &Manifest) -> String {
    match manifest.folder() {
        APPLICATION => "freeway".to_owned(),
        "xtask" => "xtask".to_owned(),
        folder => format!("freeway-{}", folder.rsplit('/').next().unwrap_or(folder)),
    }
}

fn is_serde(dependency: &Dependency) -> bool {
    matches!(dependency.crate_name(), "serde" | "serde_json" | "serde_derive" | "serde_with" | "serde_yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: (&str, &str) =
        ("Cargo.toml", "[workspace]\nmembers = [\"protocol/a\", \"services/b\", \"xtask\"]\n");
    const GOOD: &str = "[package]\nname = \"freeway-a\"\ndescription = \"x\"\nversion.workspace = true\n\
                        [lints]\nworkspace = true\n[dependencies]\nhex.workspace = true\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Workspace::of(&[ROOT, (path, text)])).into_iter().map(|violation| violation.found).collect()
    }

    #[test]
    fn a_complete_manifest_passes() {
        assert_eq!(found("protocol/a/Cargo.toml", GOOD), Vec::<String>::new());
        let serde = GOOD.replace("freeway-a", "freeway-b").replace("hex", "serde");
        assert_eq!(found("services/b/Cargo.toml", &serde), Vec::<String>::new());
        let bare = GOOD.replace("freeway-a", "xtask").replace("description = \"x\"\n", "");
        assert_eq!(found("xtask/Cargo.toml", &bare), Vec::<String>::new());
        assert_eq!(found("fuzz/Cargo.toml", "[package]\nname = \"freeway-fuzz\"\n"), Vec::<String>::new());
    }

    #[test]
    fn each_omission_is_named() {
        for (from, to, expected) in [
            ("freeway-a", "freeway-z", "`freeway-z` should be named `freeway-a`"),
            ("description = \"x\"", "", "`freeway-a` has no description"),
            ("[lints]", "[other]", "`freeway-a` has lints of its own"),
            ("version.workspace = true", "version = \"1.0.0\"", "`freeway-a` has a version of its own"),
            ("hex.workspace = true", "hex = \"0.4\"", "`hex` is not taken from the workspace's table"),
            ("hex.workspace = true", "serde_json.workspace = true", "`serde_json` below services"),
        ] {
            assert_eq!(found("protocol/a/Cargo.toml", &GOOD.replace(from, to)), [expected]);
        }
        let lost = GOOD.replace("freeway-a", "freeway-lost");
        assert_eq!(
            found("protocol/lost/Cargo.toml", &lost),
            ["`freeway-lost` is no member of the workspace"]
        );
    }
}
