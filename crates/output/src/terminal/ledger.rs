//! The account of bytes, as a sentence.

use l7trace_event::{Cause, Ledger};

use super::units::bytes;

/// `nothing missed: 1.2 MB seen, all of it delivered`, or what was missed, how much and why.
pub(super) fn sentence(ledger: &Ledger) -> String {
    if ledger.seen == 0 {
        return "nothing seen".to_owned();
    }
    let seen = bytes(ledger.seen);
    let mut sentence = match (ledger.lost(), ledger.skipped()) {
        (0, 0) => format!("nothing missed: {seen} seen, all of it delivered"),
        (0, skipped) => format!("nothing missed: {seen} seen, {} of it skipped as not needed", bytes(skipped)),
        (lost, _) => {
            let causes: Vec<String> =
                ledger.losses().map(|(cause, lost)| format!("{} {}", bytes(lost), words(cause))).collect();
            format!("missed {} of {seen} ({}): {}", bytes(lost), share(lost, ledger.seen), causes.join(", "))
        }
    };
    if !ledger.is_closed() {
        let accounted = ledger.accounted();
        sentence.push_str(&format!(
            "; the account does not add up ({} bytes seen, {accounted} accounted for): a fault of l7trace",
            ledger.seen
        ));
    }
    sentence
}

/// `4.0 %`; never 0 for something.
fn share(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    match hundredths {
        0 => "under 0.01 %".to_owned(),
        1..100 => format!("0.{hundredths:02} %"),
        _ => format!("{}.{} %", hundredths / 100, hundredths / 10 % 10),
    }
}

/// What a cause means, so that it can stand behind a number of bytes.
fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::RingFull => "for which the kernel's ring buffer had no room",
        Cause::CaptureLimit => "beyond what is copied of one call or packet",
        Cause::BeforeAttach => "from before tracing began",
        Cause::Unreadable => "in memory that could not be read",
        Cause::ZeroCopy => "sent without a copy (sendfile, splice)",
        Cause::IoUring => "moved by io_uring",
        Cause::Kernel => "moved by the kernel itself",
        Cause::Compat => "of 32-bit programs",
        Cause::NotCaptured => "that never were captured",
        Cause::BufferLimit => "beyond the limit of buffered bytes",
        Cause::TimeLimit => "that came too late",
        Cause::Evicted => "of connections given up for want of room",
        Cause::Backlog => "shed, as l7trace fell behind",
        Cause::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_missed_and_why() {
        let check = |seen: u64, delivered: u64, missing: &[(Cause, u64)], expected: &str| {
            let mut ledger = Ledger::new(seen, delivered);
            missing.iter().for_each(|(cause, bytes)| ledger.miss(*cause, *bytes));
            assert_eq!(sentence(&ledger), expected);
        };
        check(0, 0, &[], "nothing seen");
        check(1_234_567, 1_234_567, &[], "nothing missed: 1.2 MB seen, all of it delivered");
        check(1_000, 100, &[(Cause::Skipped, 900)], "nothing missed: 1.0 kB seen, 900 B of it skipped as not needed");
        check(
            30_000,
            28_000,
            &[(Cause::RingFull, 1_500), (Cause::BeforeAttach, 500)],
            "missed 2.0 kB of 30 kB (6.6 %): 1.5 kB for which the kernel's ring buffer had no room, 500 B from before tracing began",
        );
        check(
            10_000_000,
            9_999_999,
            &[(Cause::NotCaptured, 1)],
            "missed 1 B of 10 MB (under 0.01 %): 1 B that never were captured",
        );
        check(
            10,
            9,
            &[],
            "nothing missed: 10 B seen, all of it delivered; the account does not add up (10 bytes seen, 9 accounted for): a fault of l7trace",
        );
    }
}
