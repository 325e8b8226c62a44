//! Whom a server runs as: servers refuse root, and whoever started us may be root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A user and its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whom to run a server as: ourselves (None) unless this process is root, then the first of `names` that the system knows.
pub fn unprivileged(names: &[&str]) -> Option<Account> {
    if !is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    names.iter().find_map(|name| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            Some(Account { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        })
    })
}

/// Lets `command` run as `account`.
pub fn run_as(command: &mut Command, account: Option<Account>) {
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
}

/// Gives a file or folder to `account`.
pub fn own(path: &Path, account: Option<Account>, mode: u32) -> io::Result<()> {
    if let Some(Account { uid, gid }) = account {
        chown(path, Some(uid), Some(gid))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

// === impl Account ===

impl Account {
    /// Whether every folder above `path` lets it through; those that are not there yet are to be made by us.
    pub fn reaches(&self, path: &Path) -> bool {
        path.ancestors().skip(1).filter_map(|folder| fs::metadata(folder).ok()).all(|folder| {
            let execute = if folder.uid() == self.uid {
                0o100
            } else if folder.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            folder.mode() & execute != 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_stops_a_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a").join("b");
        let owner = fs::metadata(folder.path()).unwrap();
        let stranger = Account { uid: owner.uid() + 1, gid: owner.gid() + 1 };
        own(folder.path(), None, 0o700).unwrap();
        assert!(!stranger.reaches(&below));
        assert!(Account { uid: owner.uid(), gid: owner.gid() }.reaches(&below));
        own(folder.path(), None, 0o711).unwrap();
        assert!(stranger.reaches(&below));
    }
}
