//! Types of gRPC messages, from `.proto` files (`--proto`) and descriptor sets (`--descriptor-set`).
//!
//! A crate of its own, so that the parsers need neither a compiler of `.proto` files nor the file
//! system: they see the trait [`Schema`] alone.

mod json;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use l7trace_event::Direction;
use l7trace_protocol::Value;
use l7trace_protocol::grpc::Schema;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

/// The types of all files that were given.
#[derive(Debug)]
pub struct Types {
    pool: DescriptorPool,
    /// By path of the call, what it takes and what it gives.
    methods: HashMap<String, [MessageDescriptor; 2]>,
}

/// Why types could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        why: std::io::Error,
    },
    /// A folder holds nothing to read.
    #[error("{0} holds no .proto file")]
    NoFile(PathBuf),
    /// A `.proto` file does not compile.
    #[error("cannot compile {path}: {why}")]
    Compile {
        /// Which.
        path: PathBuf,
        /// The compiler's reason.
        why: String,
    },
    /// A descriptor set is none, or does not agree with the others.
    #[error("{path} is no descriptor set as `protoc --include_imports --descriptor_set_out` writes it: {why}")]
    DescriptorSet {
        /// Which.
        path: PathBuf,
        /// The reader's reason.
        why: String,
    },
}

/// How deep folders are searched.
const MOST_DEPTH: usize = 16;

impl Types {
    /// Reads `.proto` files, folders of them (which their imports are relative to), and descriptor sets.
    pub fn load(protos: &[PathBuf], descriptor_sets: &[PathBuf]) -> Result<Types, Error> {
        let mut pool = DescriptorPool::global();
        for path in protos {
            add_protos(path, &mut pool)?;
        }
        for path in descriptor_sets {
            let bytes = std::fs::read(path).map_err(|why| Error::Read { path: path.clone(), why })?;
            pool.decode_file_descriptor_set(&bytes[..])
                .map_err(|why| Error::DescriptorSet { path: path.clone(), why: why.to_string() })?;
        }
        Ok(Types::of(pool))
    }

    /// How many methods are known.
    pub fn methods(&self) -> usize {
        self.methods.len()
    }

    fn of(pool: DescriptorPool) -> Types {
        let mut methods = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                methods.insert(path, [method.input(), method.output()]);
            }
        }
        Types { pool, methods }
    }
}

impl Schema for Types {
    fn message(&self, method: &str, direction: Direction, bytes: &[u8]) -> Option<Result<Value, String>> {
        decode(self.methods.get(method)?[direction.index()].clone(), bytes)
    }

    fn typed(&self, name: &str, bytes: &[u8]) -> Option<Result<Value, String>> {
        decode(self.pool.get_message_by_name(name)?, bytes)
    }
}

/// None where the message holds but has no JSON form: an `Any` of unknown type.
fn decode(descriptor: MessageDescriptor, bytes: &[u8]) -> Option<Result<Value, String>> {
    match DynamicMessage::decode(descriptor, bytes) {
        Ok(message) => serde_json::to_value(&message).ok().map(|json| Ok(json::value(json))),
        Err(wrong) => Some(Err(wrong.to_string())),
    }
}

fn add_protos(path: &Path, pool: &mut DescriptorPool) -> Result<(), Error> {
    let unreadable = |why| Error::Read { path: path.to_owned(), why };
    let is_folder = std::fs::metadata(path).map_err(unreadable)?.is_dir();
    let folder = if is_folder {
        path
    } else {
        path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
    };
    let files = if is_folder {
        let mut found = Vec::new();
        find_protos(path, 0, &mut found).map_err(unreadable)?;
        found.sort();
        found
    } else {
        vec![path.to_owned()]
    };
    if files.is_empty() {
        return Err(Error::NoFile(path.to_owned()));
    }
    // Imports are relative to some folder above; which one, only they can tell.
    let mut includes: Vec<&Path> = vec![folder];
    includes.extend(folder.ancestors().skip(1).filter(|above| *above != Path::new("")).take(MOST_DEPTH));
    if !folder.is_absolute() {
        includes.push(Path::new("."));
    }
    let compile = |why: String| Error::Compile { path: path.to_owned(), why };
    let compiled = protox::compile(&files, includes).map_err(|why| compile(why.to_string()))?;
    for file in compiled.file {
        if pool.get_file_by_name(file.name()).is_none() {
            pool.add_file_descriptor_proto(file).map_err(|why| compile(why.to_string()))?;
        }
    }
    Ok(())
}

fn find_protos(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth < MOST_DEPTH {
                find_protos(&path, depth + 1, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
