//! Where the kernel is met: rights, loading, the ring buffer, clocks and network namespaces, the
//! same for every live source.

mod clock;
mod frames;
mod limits;
mod load;
mod mapping;
mod namespace;
mod placeholders;
mod reader;
mod requirements;
mod ring;

pub use clock::Clock;
pub use frames::{Frame, frames};
pub(crate) use limits::Limits;
pub(crate) use load::give_memory_back;
pub use load::{Loaded, load};
pub(crate) use load::{advice, chain, load_by, load_program};
pub use namespace::{Namespace, NetworkNamespace};
pub(crate) use placeholders::programs_are_preempted;
pub use reader::{HASTY, Reader, niceness, set_niceness};
pub use requirements::{Capability, kernel_btf, require_capabilities, require_kernel};
pub use ring::{Drained, Level, Ring};
