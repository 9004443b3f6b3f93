//! Many connections that stay open, each with one exchange behind it.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Opens them, spread over the addresses (separated by commas), says so, and holds them until
/// standard input ends.
pub(super) fn play(addresses: &str, path: &str, connections: usize) -> anyhow::Result<()> {
    let addresses: Vec<&str> = addresses.split(',').collect();
    let request = super::request(path);
    let mut held = Vec::with_capacity(connections);
    for number in 0..connections {
        let mut stream = TcpStream::connect(addresses[number % addresses.len()])?;
        stream.write_all(request.as_bytes())?;
        super::response_length(&mut stream)?;
        held.push(stream);
    }
    println!("holding");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
