//! What stands at the foot of a terminal while nothing happens, so that silence is never mistaken
//! for breakage.

use super::units::{bytes, count, counted};

/// While no exchange was seen for so many seconds since the start: `listening for 12 s: 12
/// connections, 3.4 MB seen, no exchange yet`.
pub fn status_line(connections: u64, bytes_seen: u64, seconds: u64) -> String {
    let since = time(seconds);
    match (connections, bytes_seen) {
        (0, 0) => format!("listening for {since}: no connection seen yet"),
        (_, 0) => format!("listening for {since}: {}, all silent, no exchange yet", counted(connections, "connection")),
        _ => format!(
            "listening for {since}: {}, {} seen, no exchange yet",
            counted(connections, "connection"),
            bytes(bytes_seen)
        ),
    }
}

/// While no exchange was seen for so many seconds since the last one: `listening: 1,234 exchanges,
/// the last 12 s ago; 12 connections, 3.4 MB seen`.
pub fn quiet_line(exchanges: u64, connections: u64, bytes_seen: u64, seconds: u64) -> String {
    format!(
        "listening: {} {}, the last {} ago; {}, {} seen",
        count(exchanges),
        if exchanges == 1 { "exchange" } else { "exchanges" },
        time(seconds),
        counted(connections, "connection"),
        bytes(bytes_seen)
    )
}

fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_that_it_listens() {
        assert_eq!(status_line(12, 3_400_000, 12), "listening for 12 s: 12 connections, 3.4 MB seen, no exchange yet");
        assert_eq!(status_line(1, 0, 70), "listening for 1 min 10 s: 1 connection, all silent, no exchange yet");
        assert_eq!(status_line(0, 0, 3_700), "listening for 1 h 1 min: no connection seen yet");
        assert_eq!(
            quiet_line(1_234, 12, 3_400_000, 12),
            "listening: 1,234 exchanges, the last 12 s ago; 12 connections, 3.4 MB seen"
        );
    }
}
