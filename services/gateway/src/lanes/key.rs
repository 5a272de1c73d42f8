//! The key that signs vouchers: made once for a folder, readable for its owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use freeway_primitives::SecretKey;

use super::config::LanesError;

/// The file's name.
const FILE: &str = "voucher.key";

/// The key in `folder`, or a new one.
pub(super) fn open(folder: &Path) -> Result<SecretKey, LanesError> {
    let path = folder.join(FILE);
    let wrong = |detail: String| LanesError::Store { path: path.display().to_string(), detail };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let mut seed = [0; 32];
            hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| {
                wrong("it holds no key; restore it, or remove it and let the lanes expire".into())
            })?;
            Ok(SecretKey::from_seed(seed))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| wrong(error.to_string()))?;
            write(folder, &path, &hex::encode(seed)).map_err(|error| wrong(error.to_string()))?;
            Ok(SecretKey::from_seed(seed))
        }
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Whole or not at all, also after a crash.
fn write(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_not_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let key = open(folder.path()).unwrap();
        assert_eq!(open(folder.path()).unwrap().public(), key.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(folder.path().join(FILE), "nonsense").unwrap();
        assert!(open(folder.path()).is_err());
    }
}
