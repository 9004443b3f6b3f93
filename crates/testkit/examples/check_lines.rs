//! Holds JSON lines from standard input against the schema:
//! `l7trace read FILE --output json | cargo run -p l7trace-testkit --features schema --example check_lines`.

use std::io::BufRead as _;
use std::process::ExitCode;

use l7trace_testkit::schema::check_line;

fn main() -> std::io::Result<ExitCode> {
    let (mut lines, mut wrong) = (0, 0);
    for line in std::io::stdin().lock().lines() {
        lines += 1;
        if let Err(error) = check_line(&line?) {
            wrong += 1;
            eprintln!("line {lines}: {error}");
        }
    }
    println!("{lines} lines, {wrong} wrong");
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
