use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::programs::SocketFilter;
use l7trace_probes::packets::PROGRAM;

use super::interfaces::{Changes, Interfaces};
use super::socket;
use crate::Error;
use crate::kernel::Namespace;

/// A packet socket for each interface. `any` opens one where an interface comes: a single socket for
/// all of them would see each packet of loopback twice, and make the kernel clone it.
pub(super) struct Sockets {
    namespace: Namespace,
    interfaces: Interfaces,
    changes: Option<Changes>,
    // Before the program: sockets are closed first.
    by_interface: BTreeMap<u32, OwnedFd>,
    ebpf: Ebpf,
}

impl Sockets {
    /// Opens those for the interfaces that there are.
    pub(super) fn open(namespace: Namespace, interfaces: Interfaces, ebpf: Ebpf) -> Result<Sockets, Error> {
        let changes = match interfaces {
            Interfaces::Any => Some(namespace.run(Changes::listen)?.map_err(|error| {
                Error::Failed(format!("cannot listen to changes of interfaces (netlink): {error}"))
            })?),
            Interfaces::Named(_) => None,
        };
        let mut sockets = Sockets { namespace, interfaces, changes, by_interface: BTreeMap::new(), ebpf };
        sockets.follow()?;
        Ok(sockets)
    }

    /// Where they are.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What becomes readable when interfaces come or go.
    pub(super) fn changes(&self) -> Option<&OwnedFd> {
        self.changes.as_ref().map(Changes::fd)
    }

    /// Opens sockets for interfaces that came, and closes those of interfaces that went.
    pub(super) fn update(&mut self) -> Result<(), Error> {
        match &self.changes {
            Some(changes) if changes.any() => self.follow(),
            _ => Ok(()),
        }
    }

    fn follow(&mut self) -> Result<(), Error> {
        let Sockets { namespace, interfaces, by_interface, ebpf, .. } = self;
        let filter: &SocketFilter = ebpf
            .program(PROGRAM)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| Error::Failed("the packets program is gone".into()))?;
        let named = matches!(interfaces, Interfaces::Named(_));
        namespace.run(|| {
            let present = interfaces.indices();
            by_interface.retain(|index, _| present.contains(index));
            for index in present {
                if by_interface.contains_key(&index) {
                    continue;
                }
                match socket::open(filter, index) {
                    Ok(socket) => {
                        by_interface.insert(index, socket);
                    }
                    // It may have gone meanwhile; there will be another message.
                    Err(_) if !named && !interfaces.indices().contains(&index) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?
    }
}
