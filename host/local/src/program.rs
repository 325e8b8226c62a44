//! Where programs are.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of PostgreSQL's programs, when it is none of the usual ones.
pub const PG_BIN: &str = "PG_BIN";
/// Debian keeps every version's programs under this.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The first directory of `PATH`, then of `more`, that holds the program `name`.
pub fn find(name: &str, more: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).collect::<Vec<_>>();
    directories.iter().chain(more).map(|d| d.join(name)).find(|p| p.is_file())
}

/// The folder that holds `initdb` and `postgres`: the one that [`PG_BIN`] names and no other, else what `PATH` has, else
/// Debian's newest.
pub fn postgres() -> Option<PathBuf> {
    let whole = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    if let Some(folder) = std::env::var_os(PG_BIN).filter(|v| !v.is_empty()).map(PathBuf::from) {
        return whole(&folder).then_some(folder);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| whole(folder));
    on_path.or_else(|| debian(Path::new(DEBIAN)).into_iter().find(|folder| whole(folder)))
}

/// `…/17/bin`, `…/15/bin`: the newest first.
fn debian(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> =
        entries.filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin")))).collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "17", "15", "common"] {
            fs::create_dir_all(root.path().join(name).join("bin")).unwrap();
        }
        assert_eq!(debian(root.path()), ["17", "15", "9"].map(|v| root.path().join(v).join("bin")));
        assert!(debian(&root.path().join("none")).is_empty());
    }
}
