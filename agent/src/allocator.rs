//! Has glibc's allocator give large buffers back to the system when they are freed.
//!
//! It begins so, but the first large buffer that is freed raises the size from which it does (`M_MMAP_THRESHOLD` in
//! mallopt(3)); later ones then leave holes among small allocations. Measured: a fifth of the memory at small rows, a
//! quarter at rows of 16 MB. A threshold that is set stays where it is, and it can only be set from outside.

/// Makes the threshold fixed for this process: starts the program anew, in its place and with the same arguments, unless
/// that has happened. To be called first in `main`. Where it cannot, the process goes on as it is.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    gnu::settle();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod gnu {
    use std::env;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    const VARIABLE: &str = "MALLOC_MMAP_THRESHOLD_";
    const BYTES: &str = "1048576";

    pub(super) fn settle() {
        if env::var_os(VARIABLE).is_some() {
            return;
        }
        let Ok(program) = env::current_exe() else {
            return;
        };
        let mut arguments = env::args_os();
        let mut command = Command::new(program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        // It returns only when it failed.
        let _ = command.args(arguments).env(VARIABLE, BYTES).exec();
    }
}
