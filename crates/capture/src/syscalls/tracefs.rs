use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::ptr;
use std::thread;

use crate::Error;

/// Where tracefs may be, the second through debugfs.
const PLACES: [&str; 2] = ["/sys/kernel/tracing/events/syscalls", "/sys/kernel/debug/tracing/events/syscalls"];

/// Runs `work` where tracefs can be read: the kernel names its tracepoints there by number.
///
/// Where it is not mounted, it is mounted for `work` alone, in a mount namespace that nobody else
/// sees and that is gone afterwards.
///
/// # Errors
/// Those of `work`, or where tracefs cannot be mounted.
pub(super) fn with_tracefs(work: impl FnOnce() -> Result<(), Error> + Send) -> Result<(), Error> {
    if PLACES.iter().any(|place| Path::new(place).exists()) {
        return work();
    }
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            mount_privately().map_err(|error| {
                Error::Failed(format!(
                    "tracefs is not mounted at /sys/kernel/tracing, and cannot be: {error}; mount it \
                     (mount -t tracefs tracefs /sys/kernel/tracing), or let l7trace have CAP_SYS_ADMIN; the kernel must \
                     be built with CONFIG_FTRACE_SYSCALLS=y, as those of the distributions are"
                ))
            })?;
            work()
        });
        thread.join().map_err(|_| Error::Failed("the thread that attaches the tracepoints panicked".into()))?
    })
}

/// Gives the calling thread a mount namespace of its own, with tracefs in it.
#[expect(unsafe_code, reason = "the standard library has neither namespaces nor mounts")]
fn mount_privately() -> io::Result<()> {
    const PLACE: &CStr = c"/sys/kernel/tracing";
    let ok = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: takes flags alone; changes the calling thread's namespace alone, which must not share
    // its working directory with others any more.
    ok(unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) })?;
    // SAFETY: the strings outlive the call; null stands for "none" where it is allowed.
    ok(unsafe { libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), libc::MS_REC | libc::MS_PRIVATE, ptr::null()) })?;
    // SAFETY: as above.
    ok(unsafe { libc::mount(c"tracefs".as_ptr(), PLACE.as_ptr(), c"tracefs".as_ptr(), 0, ptr::null()) })?;
    if Path::new(PLACES[0]).exists() { Ok(()) } else { Err(io::Error::other("it has no system calls")) }
}
