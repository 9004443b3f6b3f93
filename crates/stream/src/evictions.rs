/// How often something was given up because of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Connections dropped since there were too many.
    pub connections: u64,
    /// Times that a connection's holes were given up since too much waited behind them.
    pub connection_bytes: u64,
    /// Times that a connection was dropped, or its holes given up, since too much was held in all.
    pub total_bytes: u64,
    /// Connections forgotten since nothing happened in them.
    pub idle: u64,
}

impl Evictions {
    /// The counts by the name of the limit, those that are 0 included.
    pub fn by_limit(&self) -> [(&'static str, u64); 4] {
        [
            ("connections", self.connections),
            ("connection_bytes", self.connection_bytes),
            ("total_bytes", self.total_bytes),
            ("idle", self.idle),
        ]
    }
}
