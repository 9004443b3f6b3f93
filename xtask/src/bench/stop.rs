//! Being interrupted: everything that waits asks here, so that what was started is ended and what
//! was made is removed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(false)));

/// From now on the usual signals are heard here instead of ending the process.
pub(crate) fn listen() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&STOP))?;
    }
    Ok(())
}

/// Whether one came.
pub(crate) fn wanted() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// An error if one came.
pub(crate) fn check() -> anyhow::Result<()> {
    if wanted() {
        bail!("interrupted");
    }
    Ok(())
}

/// Sleeps, unless interrupted.
pub(crate) fn sleep(time: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + time;
    loop {
        check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Asks again every few milliseconds until the answer is there; none after `limit`.
pub(crate) fn until<T>(
    limit: Duration,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let deadline = Instant::now() + limit;
    loop {
        check()?;
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}
