//! Stops one thread of another process for a while, whatever it does, and lets it go on.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Threads may be put into it one by one; those of the second version of cgroups only with their whole process.
const ROOT: &str = "/sys/fs/cgroup/freezer";

/// Holds one thread, which goes on when this is dropped.
pub struct Freezer {
    folder: PathBuf,
}

// === impl Freezer ===

impl Freezer {
    /// Whether this machine has one for us.
    pub fn is_there() -> bool {
        Freezer::make("probe").is_ok()
    }

    /// For the thread of this name, which the process has.
    pub fn of(process: u32, thread: &str) -> Result<Freezer> {
        let tasks = format!("/proc/{process}/task");
        let mut tasks = fs::read_dir(&tasks).with_context(|| tasks.clone())?.flatten();
        let named =
            |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|c| c.trim() == thread);
        let task = tasks.find(named).with_context(|| format!("no thread `{thread}`"))?;
        let freezer = Freezer::make(&format!("weir-{process}"))?;
        freezer.write("tasks", &task.file_name().to_string_lossy())?;
        Ok(freezer)
    }

    fn make(name: &str) -> Result<Freezer> {
        let folder = Path::new(ROOT).join(name);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Freezer { folder })
    }

    pub fn freeze(&self) -> Result<()> {
        self.write("freezer.state", "FROZEN")
    }

    pub fn thaw(&self) -> Result<()> {
        self.write("freezer.state", "THAWED")
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.folder.join(file), text).with_context(|| format!("{file} of the freezer"))
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        // what is held goes back to where all start
        let _ = self.thaw();
        let held = fs::read_to_string(self.folder.join("tasks")).unwrap_or_default();
        for task in held.lines() {
            let _ = fs::write(Path::new(ROOT).join("tasks"), task);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}
