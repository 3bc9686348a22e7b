//! Cluster routing: which node serves which request, and the open connection to each node.
//!
//! A standalone server never redirects, so there is one connection. A cluster answers a request
//! to the wrong node with the address of the right one (`MOVED`). The address is stored for the
//! request's *route*: the text that decides its hash slot.

use std::collections::HashMap;
use std::fmt;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, Value};

use super::retry::is_moved;

/// The address of a cluster node other than the one that the user named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NodeAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

impl NodeAddress {
    /// An address as a node reported it. A node that does not know its own host is at the host of
    /// the server that reported it.
    fn reported(host: &str, port: u16, server_host: Option<&str>) -> Option<Self> {
        let unknown = host.is_empty() || host == "?";
        let host = if unknown { server_host? } else { host };
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// An open connection, and how many connections to its node were opened before it.
#[derive(Clone)]
pub(super) struct OpenLink {
    pub(super) number: u64,
    pub(super) connection: MultiplexedConnection,
}

/// The connection to one node, if one is open.
#[derive(Default)]
struct NodeLink {
    opened: u64,
    open: Option<OpenLink>,
}

/// The open connections and the routes learned so far.
#[derive(Default)]
pub(super) struct Routing {
    /// By address; `None` is the server that the user named.
    links: HashMap<Option<NodeAddress>, NodeLink>,
    /// The node that serves each route.
    routes: HashMap<String, NodeAddress>,
    /// Nodes to ask when the named server is gone.
    known: Vec<NodeAddress>,
    /// The node that is asked about unknown routes: 0 for the named server, then the known ones.
    entry: usize,
}

impl Routing {
    /// Returns the node to ask for a route; `None` is the server that the user named.
    pub(super) fn node_for(&self, route: &str) -> Option<NodeAddress> {
        self.routes.get(route).or_else(|| self.entry()).cloned()
    }

    fn entry(&self) -> Option<&NodeAddress> {
        self.known.get(self.entry.checked_sub(1)?)
    }

    /// Returns the route of requests to one node.
    pub(super) fn route_to(&mut self, node: &NodeAddress) -> String {
        let route = node.to_string();
        self.routes.insert(route.clone(), node.clone());
        route
    }

    /// Adds a node to those that may be asked.
    pub(super) fn remember(&mut self, node: &NodeAddress) {
        if !self.known.contains(node) {
            self.known.push(node.clone());
        }
    }

    /// Learns from a failed request which node to ask next. `server_host` is the host of the
    /// server that the user named.
    pub(super) fn learn(
        &mut self,
        error: &RedisError,
        asked: Option<&NodeAddress>,
        route: &str,
        server_host: Option<&str>,
    ) {
        if is_moved(error) {
            if let Some(node) = redirection(error, server_host) {
                self.remember(&node);
                self.routes.insert(route.to_owned(), node);
            }
        } else if error.kind() == ErrorKind::Io || error.code() == Some("CLUSTERDOWN") {
            self.avoid(asked, route);
        }
    }

    /// Makes the next request ask another node than the one that failed, if another is known.
    fn avoid(&mut self, asked: Option<&NodeAddress>, route: &str) {
        if self.routes.remove(route).is_none() || asked.is_none() {
            self.entry = (self.entry + 1) % (self.known.len() + 1);
        }
    }

    /// Returns the open connection to a node.
    pub(super) fn link(&self, node: Option<&NodeAddress>) -> Option<OpenLink> {
        self.links.get(&node.cloned())?.open.clone()
    }

    /// Stores a new connection to a node in place of the one before.
    pub(super) fn keep(
        &mut self,
        node: Option<&NodeAddress>,
        connection: MultiplexedConnection,
    ) -> OpenLink {
        let link = self.links.entry(node.cloned()).or_default();
        link.opened += 1;
        let open = OpenLink {
            number: link.opened,
            connection,
        };
        link.open = Some(open.clone());
        open
    }

    /// Drops a connection, unless another request has replaced it already.
    pub(super) fn drop_link(&mut self, node: Option<&NodeAddress>, number: u64) {
        if let Some(link) = self.links.get_mut(&node.cloned()) {
            link.open.take_if(|open| open.number == number);
        }
    }
}

/// Returns the node that a `MOVED` error names.
fn redirection(error: &RedisError, server_host: Option<&str>) -> Option<NodeAddress> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    NodeAddress::reported(host, port.parse().ok()?, server_host)
}

/// The answer to `CLUSTER SLOTS`: ranges of hash slots with the nodes that serve them.
pub(super) struct SlotRanges(pub(super) Vec<Vec<Value>>);

impl SlotRanges {
    /// Returns the masters, each once.
    pub(super) fn masters(&self, server_host: Option<&str>) -> Vec<NodeAddress> {
        let mut masters = Vec::new();
        for range in &self.0 {
            let master = master_of(range, server_host);
            masters.extend(master.filter(|node| !masters.contains(node)));
        }
        masters
    }

    /// Returns the number of slots that a node serves.
    pub(super) fn served(&self) -> u64 {
        self.0.iter().map(|range| length(range)).sum()
    }
}

/// Returns the master of a range: first and last slot, the master, its replicas. A node is its
/// host, its port and more.
fn master_of(range: &[Value], server_host: Option<&str>) -> Option<NodeAddress> {
    let Value::Array(node) = range.get(2)? else {
        return None;
    };
    match node.as_slice() {
        [Value::BulkString(host), Value::Int(port), ..] => {
            let host = std::str::from_utf8(host).ok()?;
            NodeAddress::reported(host, u16::try_from(*port).ok()?, server_host)
        }
        _ => None,
    }
}

fn length(range: &[Value]) -> u64 {
    match range {
        [Value::Int(first), Value::Int(last), ..] => u64::try_from(last - first + 1).unwrap_or(0),
        _ => 0,
    }
}
