//! Suricata, asked for nothing but one record for each HTTP exchange.

use std::fs;
use std::path::Path;

/// The file of its records, in its folder.
pub(crate) const RECORDS: &str = "eve.json";

/// The arguments beside where packets come from; writes its configuration into `folder`.
pub(crate) fn arguments(folder: &Path) -> anyhow::Result<Vec<String>> {
    let file = folder.join("suricata.yaml");
    fs::write(&file, CONFIGURATION)?;
    let (file, folder) = (file.display().to_string(), folder.display().to_string());
    Ok(["-c", &file, "-l", &folder, "-k", "none", "-S", "/dev/null"].map(str::to_owned).to_vec())
}

/// Whether a record is an exchange with its answer.
pub(crate) fn is_exchange(line: &str) -> bool {
    line.contains("\"event_type\":\"http\"") && line.contains("\"status\":")
}

/// No rules, no statistics, memory for every connection, bodies without a limit of depth.
const CONFIGURATION: &str = "%YAML 1.1
---
vars:
  address-groups: {HOME_NET: any, EXTERNAL_NET: any}
stats: {enabled: no}
logging:
  default-log-level: notice
  outputs:
    - console: {enabled: yes}
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types:
        - http: {extended: yes}
af-packet:
  - interface: lo
    threads: 1
    cluster-id: 99
    cluster-type: cluster_flow
    defrag: no
    tpacket-v3: yes
app-layer:
  protocols:
    http: {enabled: yes}
flow: {memcap: 1gb, hash-size: 262144, prealloc: 10000}
stream: {memcap: 1gb, checksum-validation: no, reassembly: {memcap: 1gb, depth: 0}}
";
