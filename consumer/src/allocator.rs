//! What the process frees goes back to the system.
//!
//! glibc's allocator keeps what threads have freed, tens of MiB for each thread that ever read a large file: the more so
//! as it learns from large blocks to keep larger ones. It can be told not to, but only by the environment that a process
//! starts with (`M_ARENA_MAX`, `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of mallopt(3)).

/// What glibc's allocator is told, in bytes where it is a size.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_MMAP_THRESHOLD_", "262144"),
    ("MALLOC_TRIM_THRESHOLD_", "262144"),
];

/// Starts this process over with these settings, unless any of them is there: someone knows better, or this has been
/// done. If it can't be, the process goes on, and needs more memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back() {
    use std::os::unix::process::CommandExt;

    if SETTINGS
        .iter()
        .any(|(name, _)| std::env::var_os(name).is_some())
    {
        return;
    }
    let mut words = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), words.next()) else {
        return;
    };
    // Comes back only if it fails.
    let _ = std::process::Command::new(program)
        .arg0(name)
        .args(words)
        .envs(SETTINGS)
        .exec();
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
