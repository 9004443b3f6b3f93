//! A case: what the two ends of one connection do, and what must be told of it.

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What the ends speak through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp4,
    Tcp6,
    /// A Unix socket with a path.
    UnixPath,
    /// A Unix socket with an abstract name.
    UnixAbstract,
    /// Two sockets without a name.
    Socketpair,
}

impl Transport {
    /// Whether packets carry it.
    pub(crate) fn is_tcp(self) -> bool {
        matches!(self, Transport::Tcp4 | Transport::Tcp6)
    }
}

/// How bytes are handed to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Write,
    /// `sendto` without an address.
    Send,
    /// `writev` and `readv` with so many pieces.
    Vector(usize),
    /// `write`; each read is preceded by two `recvfrom` with `MSG_PEEK`.
    Peek,
}

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// An end sends, in one call where the kernel takes it, and the other reads all of it.
    Send(Side, Vec<u8>),
    /// An end sends; nobody reads.
    SendUnread(Side, Vec<u8>),
    /// An end sends no more.
    Shutdown(Side),
    /// An end closes its socket.
    Close(Side),
    /// An end resets the connection.
    Reset(Side),
    /// An end goes on with a duplicate of its descriptor.
    Duplicate(Side),
    /// Both ends, closed before, connect again: the same addresses, the same ports.
    Again,
    /// Until here the tracer does not run.
    Attach,
}

/// What a line must say.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) operation: String,
    /// The id: stands in the response's `X-Id` as well.
    pub(crate) resource: String,
    pub(crate) status: Option<String>,
    /// One of these.
    pub(crate) outcomes: &'static [&'static str],
    /// Bytes on the wire and bytes of the body, where they are told.
    pub(crate) request: Option<(u64, u64)>,
    pub(crate) response: Option<(u64, u64)>,
    /// Whether there need not be a line.
    pub(crate) optional: bool,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) transport: Transport,
    pub(crate) call: Call,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Vec<Expected>,
}

impl Case {
    pub(crate) fn new(name: &str) -> Case {
        Case {
            name: name.to_owned(),
            transport: Transport::Tcp4,
            call: Call::Write,
            steps: Vec::new(),
            expected: Vec::new(),
        }
    }

    pub(crate) fn over(mut self, transport: Transport) -> Case {
        self.transport = transport;
        self
    }

    pub(crate) fn by(mut self, call: Call) -> Case {
        self.call = call;
        self
    }

    pub(crate) fn client(&mut self, bytes: impl Into<Vec<u8>>) -> &mut Case {
        self.step(Step::Send(Side::Client, bytes.into()))
    }

    pub(crate) fn server(&mut self, bytes: impl Into<Vec<u8>>) -> &mut Case {
        self.step(Step::Send(Side::Server, bytes.into()))
    }

    pub(crate) fn step(&mut self, step: Step) -> &mut Case {
        self.steps.push(step);
        self
    }

    /// The expectation that was added last, to be changed.
    pub(crate) fn last(&mut self) -> &mut Expected {
        self.expected.last_mut().expect("something is expected")
    }

    /// Bytes that go through while the tracer runs.
    pub(crate) fn traced_bytes(&self) -> u64 {
        let start = self.steps.iter().position(|step| matches!(step, Step::Attach)).unwrap_or(0);
        let length = |step: &Step| match step {
            Step::Send(_, bytes) | Step::SendUnread(_, bytes) => bytes.len() as u64,
            _ => 0,
        };
        self.steps[start..].iter().map(length).sum()
    }

    /// Whether the connection is older than the tracer.
    pub(crate) fn is_old(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Attach))
    }
}
