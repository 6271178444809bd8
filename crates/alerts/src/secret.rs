//! Secrets of targets: read from files that only their owner can read, shown nowhere.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A token or an address with one in it is far shorter.
const FILE_MAX: u64 = 4_096;

/// Why there is no secret. No variant carries one.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("{} has mode {mode:o}: others may read it; chmod 600", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds no secret.
    #[error("{}: expected one line of printable characters", path.display())]
    Text {
        /// Which.
        path: PathBuf,
    },
}

/// A token, or an address that is as good as one. It prints as nothing and is erased when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret in this file: its one line.
    ///
    /// # Errors
    /// If the file cannot be read, if others may read it, or if it holds no single line.
    pub fn from_file(path: &Path) -> Result<Secret, SecretError> {
        let read = |source| SecretError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(read)?;
        let mode = file.metadata().map_err(read)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Open { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_MAX).read_to_string(&mut text).map_err(read)?;
        Secret::new(text.trim()).ok_or_else(|| SecretError::Text { path: path.to_owned() })
    }

    /// This text; `None` if it is empty or not one line of printable characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Secret> {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        plain.then(|| Secret(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for the request that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without the secret, should a server have quoted it.
    pub(crate) fn blot(&self, text: &str) -> String {
        text.replace(self.expose(), "(secret)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_a_file_of_its_owner_holds_a_secret_i31() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let with = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Secret::from_file(&path)
        };
        let good = with("123:abc\n", 0o600).unwrap();
        assert_eq!((good.expose(), format!("{good:?}").as_str()), ("123:abc", "Secret"));
        assert_eq!(good.blot("POST /bot123:abc/x failed"), "POST /bot(secret)/x failed");
        let open = with("123:abc\n", 0o640).unwrap_err().to_string();
        assert!(open.contains("mode 640") && open.contains("chmod 600") && !open.contains("abc"), "{open}");
        for text in ["", " \n", "two\nlines", "with space"] {
            assert!(matches!(with(text, 0o600), Err(SecretError::Text { .. })), "{text:?}");
        }
        assert!(matches!(Secret::from_file(&dir.path().join("none")), Err(SecretError::Read { .. })));
    }
}
