//! Making a data folder.
//!
//! `initdb` works in a folder of another name, which is renamed when it is complete: what a killed one leaves
//! is never taken for data, and the next start removes it. Call with the start lock held.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::account::Account;
use crate::binaries::Installation;
use crate::folder::Folder;
use crate::profile::Profile;
use crate::uri::ROLE;
use crate::{Error, wait};

/// How long `initdb` may take; it syncs some 40 MB.
const INITDB_WITHIN: Duration = Duration::from_secs(180);
/// How the folder of an unfinished run begins.
const UNFINISHED: &str = "unfinished.";

/// Makes the data folder of `folder`, owned by `account`.
pub(crate) async fn run(
    folder: &Folder,
    account: &Account,
    installation: &Installation,
    profile: Profile,
) -> Result<(), Error> {
    let root = folder.root();
    drop_unfinished(root)?;
    // Removed when dropped: when anything below fails, or nobody waits for it any more.
    let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(root);
    let unfinished = unfinished.map_err(Error::file("make a folder in", root))?;
    account.private_folder(unfinished.path())?;
    let mut command = account.command(installation.initdb());
    tell(&mut command, unfinished.path(), profile);
    command
        .current_dir(root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(command, installation).await?;
    let data = folder.data();
    fs::rename(unfinished.path(), &data).map_err(Error::file("rename to", &data))?;
    File::open(root)
        .and_then(|root| root.sync_all())
        .map_err(Error::file("sync", root))
}

/// What `initdb` is to make, and where.
fn tell(command: &mut Command, data: &Path, profile: Profile) {
    command
        .arg("-D")
        .arg(data)
        .args(["--username", ROLE, "--no-instructions"]);
    command.args(["--encoding", "UTF8", "--locale", "C"]);
    // Whoever gets to the socket is the server's user or root. TCP is off; someone who turns it on with a
    // setting finds a door that asks for a password nobody has.
    command.args(["--auth-local", "trust", "--auth-host", "scram-sha-256"]);
    if profile == Profile::Disposable {
        command.arg("--no-sync");
    }
}

/// Runs the command to its end.
async fn finish(command: Command, installation: &Installation) -> Result<(), Error> {
    let mut command = tokio::process::Command::from(command);
    let output = wait::timeout(INITDB_WITHIN, command.kill_on_drop(true).output()).await;
    let output = output.map_err(|_| Error::TooSlow {
        what: "making a data folder with initdb".to_owned(),
        seconds: INITDB_WITHIN.as_secs(),
    })?;
    let output = output.map_err(Error::file("run", &installation.initdb()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: "initdb",
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Removes the folders of runs that were killed.
fn drop_unfinished(root: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(root)
        .map_err(Error::file("list", root))?
        .flatten()
    {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(UNFINISHED.as_bytes())
        {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
        }
    }
    Ok(())
}
