//! Where a user's data is, on each platform.

use std::ffi::OsString;
use std::path::PathBuf;

/// The program's folder in a directory of data.
const FOLDER: &str = "freeway";

/// A family of operating systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    /// Linux and other systems with XDG directories.
    Unix,
    /// macOS.
    Mac,
    /// Windows.
    Windows,
}

impl Platform {
    /// That of this build.
    pub(super) const CURRENT: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::Mac
    } else {
        Self::Unix
    };
}

/// The default directory; `variable` reads the environment. `None` if the user has no home.
pub(super) fn default_directory(
    platform: Platform,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // XDG: a relative path is invalid and must be ignored.
    let xdg = || path("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = match platform {
        Platform::Windows => path("LOCALAPPDATA"),
        Platform::Mac => xdg().or_else(|| Some(path("HOME")?.join("Library").join("Application Support"))),
        Platform::Unix => xdg().or_else(|| Some(path("HOME")?.join(".local").join("share"))),
    };
    Some(data?.join(FOLDER))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn directory(platform: Platform, set: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value))
        };
        default_directory(platform, variable).map(|path| path.display().to_string())
    }

    #[test]
    fn each_platform_has_its_place() {
        let home = ("HOME", "/h");
        for (platform, set, expected) in [
            (Platform::Unix, vec![home], Some("/h/.local/share/freeway")),
            (Platform::Unix, vec![home, ("XDG_DATA_HOME", "/x")], Some("/x/freeway")),
            (Platform::Unix, vec![home, ("XDG_DATA_HOME", "x")], Some("/h/.local/share/freeway")),
            (Platform::Unix, vec![home, ("XDG_DATA_HOME", "")], Some("/h/.local/share/freeway")),
            (Platform::Unix, vec![], None),
            (Platform::Mac, vec![home], Some("/h/Library/Application Support/freeway")),
            (Platform::Windows, vec![home, ("LOCALAPPDATA", "/l")], Some("/l/freeway")),
            (Platform::Windows, vec![home], None),
        ] {
            assert_eq!(directory(platform, &set).as_deref(), expected, "{platform:?} {set:?}");
        }
    }
}
