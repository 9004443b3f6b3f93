/// A process that holds one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// The process id (the thread group's), as the tracer's PID namespace shows it.
    pub pid: u32,
    /// The command name of the thread group's leader.
    pub name: String,
    /// When it started, in nanoseconds since boot; with `pid` this names a process for good.
    /// 0 where it is not known.
    pub started: u64,
    /// The id of its cgroup (v2); 0 where it is not known.
    pub cgroup: u64,
}
