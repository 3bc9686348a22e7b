//! A TCP proxy in front of Redis that injects network faults into connections and counts them.
//!
//! One task forwards one connection in both directions, one read at a time. So it knows whether the
//! server has answered the client's last request. A fault is counted when a connection has suffered
//! it, not when it was ordered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A fault that affects every connection while it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkFault {
    /// Forwards everything at once.
    #[default]
    Clear,
    /// Delays every answer by this time.
    Late(Duration),
    /// Forwards nothing and closes nothing. Data sent during this fault arrives when it ends, also
    /// from clients that have closed their connection.
    Frozen,
}

/// The faults that connections have suffered so far.
#[derive(Debug, Clone, Default)]
pub struct ProxyCounts {
    /// Connections that were closed.
    pub cut: u64,
    /// Connections that dropped a request and stayed open without an answer.
    pub half_open: u64,
    /// Answers that were delayed.
    pub late: u64,
    /// Reads that were held until the fault changed.
    pub frozen: u64,
    /// The requests that were applied and whose connection was reset instead of answered.
    pub reset: Vec<String>,
}

/// The faults that are ordered. A connection obeys when `cuts` or `half_opens` grows.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    fault: NetworkFault,
    cuts: u64,
    half_opens: u64,
}

/// The state that all connections share.
struct Shared {
    server: SocketAddr,
    counts: Mutex<ProxyCounts>,
    /// Says whether the next answer must be lost.
    reset: AtomicBool,
}

/// A running proxy. Dropping it closes every connection.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    /// Listens on a free port and forwards connections to a server's port on this machine.
    ///
    /// # Panics
    /// Panics if no port or thread is available.
    #[must_use]
    pub fn before(server: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a thread");
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .expect("a port");
        let address = listener.local_addr().expect("a listener has an address");
        let server = SocketAddr::from(([127, 0, 0, 1], server));
        let shared = Arc::new(Shared {
            server,
            counts: Mutex::default(),
            reset: AtomicBool::new(false),
        });
        let orders = watch::Sender::new(Orders::default());
        let ordered = orders.subscribe();
        let shared_by_tasks = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut orders = ordered.clone();
                let shared = Arc::clone(&shared_by_tasks);
                // A connection obeys only orders that are newer than itself.
                orders.mark_unchanged();
                // An error closes the connection, which is enough for the client.
                tokio::spawn(async move { shared.forward(client, orders).await.ok() });
            }
        });
        Self {
            address,
            orders,
            shared,
            _runtime: runtime,
        }
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// Changes the fault.
    pub fn fault(&self, fault: NetworkFault) {
        self.orders.send_modify(|orders| orders.fault = fault);
    }

    /// Closes all open connections.
    pub fn cut(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    /// Makes all open connections drop all data from now on without closing. New connections work.
    pub fn half_open(&self) {
        self.orders.send_modify(|orders| orders.half_opens += 1);
    }

    /// Sets whether the next answer to a script call is replaced by a reset of its connection. It
    /// affects one call, which Redis has then applied.
    pub fn reset_next_answer(&self, reset: bool) {
        self.shared.reset.store(reset, Ordering::SeqCst);
    }

    /// Returns the faults that connections have suffered so far.
    #[must_use]
    pub fn counts(&self) -> ProxyCounts {
        lock(&self.shared.counts).clone()
    }
}

/// Locks a counter. Its value is valid even after a panic of a task that held the lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    async fn forward(
        &self,
        mut client: TcpStream,
        mut orders: watch::Receiver<Orders>,
    ) -> std::io::Result<()> {
        let mut server = TcpStream::connect(self.server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let initial = *orders.borrow();
        let mut asked = vec![0; 1 << 16];
        let mut answered = vec![0; 1 << 16];
        // A script call that was sent while no other request waited for an answer. The next answer
        // belongs to it.
        let mut pending: Option<String> = None;
        let mut idle = true;
        loop {
            tokio::select! {
                changed = orders.changed() => {
                    let Ok(()) = changed else { return Ok(()) };
                    if orders.borrow().cuts > initial.cuts {
                        lock(&self.counts).cut += 1;
                        return Ok(());
                    }
                    if orders.borrow().half_opens > initial.half_opens {
                        return self.drop_data(client).await;
                    }
                }
                length = client.read(&mut asked) => {
                    let request = &asked[..length?];
                    if request.is_empty() { return Ok(()) }
                    self.wait_while_frozen(&mut orders).await;
                    pending = script_call(request).filter(|_| idle);
                    idle = false;
                    server.write_all(request).await?;
                }
                length = server.read(&mut answered) => {
                    let answer = &answered[..length?];
                    if answer.is_empty() { return Ok(()) }
                    if let Some(request) = pending.take().filter(|_| self.takes_reset(answer)) {
                        lock(&self.counts).reset.push(request);
                        return client.set_zero_linger();
                    }
                    self.delay(&orders).await;
                    self.wait_while_frozen(&mut orders).await;
                    idle = true;
                    client.write_all(answer).await?;
                }
            }
        }
    }

    /// Returns true if the connection must be reset instead of passing on this answer. An error
    /// does not count, because Redis has not applied the request.
    fn takes_reset(&self, answer: &[u8]) -> bool {
        answer[0] != b'-' && self.reset.swap(false, Ordering::SeqCst)
    }

    /// Reads and drops data until the client closes the connection.
    async fn drop_data(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut lost = [0; 1 << 12];
        let mut first = true;
        while client.read(&mut lost).await? > 0 {
            lock(&self.counts).half_open += u64::from(std::mem::take(&mut first));
        }
        Ok(())
    }

    async fn delay(&self, orders: &watch::Receiver<Orders>) {
        let fault = orders.borrow().fault;
        if let NetworkFault::Late(delay) = fault {
            lock(&self.counts).late += 1;
            tokio::time::sleep(delay).await;
        }
    }

    async fn wait_while_frozen(&self, orders: &mut watch::Receiver<Orders>) {
        if orders.borrow().fault == NetworkFault::Frozen {
            lock(&self.counts).frozen += 1;
            // An error means that the proxy was dropped. This task ends soon after.
            orders
                .wait_for(|orders| orders.fault != NetworkFault::Frozen)
                .await
                .ok();
            // Other orders given in the meantime must still be obeyed.
            orders.mark_changed();
        }
    }
}

/// Returns the text of a request that calls a script.
fn script_call(request: &[u8]) -> Option<String> {
    let calls = request.windows(9).any(|part| part == b"\r\nEVALSHA");
    calls.then(|| String::from_utf8_lossy(request).into_owned())
}

#[cfg(test)]
#[path = "proxy/tests.rs"]
mod tests;
