//! A TCP proxy before a Redis that does to connections what networks do, and counts how often it
//! did.
//!
//! One task carries one connection, both ways, a chunk at a time, so it knows whether the server
//! has answered what the client asked last. A fault counts when a connection has counts it, not when
//! it was ordered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What every connection goes through, for as long as it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkFault {
    /// All passes at once.
    #[default]
    Clear,
    /// Every answer comes this much later.
    Late(Duration),
    /// Nothing passes and nothing is closed. What was sent meanwhile arrives when this ends, also
    /// from clients that have given up.
    Frozen,
}

/// What connections have counts so far.
#[derive(Debug, Clone, Default)]
pub struct ProxyCounts {
    /// Connections closed.
    pub cut: u64,
    /// Connections that a request vanished in, and that stay open and silent.
    pub half_open: u64,
    /// Answers that were late.
    pub late: u64,
    /// Chunks that were held until the fault changed.
    pub frozen: u64,
    /// The requests that were applied, and reset instead of answered.
    pub reset: Vec<String>,
}

/// What is ordered. Connections notice that `cuts` or `half_opens` grew.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    fault: NetworkFault,
    cuts: u64,
    half_opens: u64,
}

/// What all connections share.
struct Shared {
    server: SocketAddr,
    counts: Mutex<ProxyCounts>,
    /// Whether the next answer is to be lost.
    reset: AtomicBool,
}

/// A proxy. Dropping it closes every connection.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    /// Listens on a port of its own, and carries what comes to a server's port on this machine.
    ///
    /// # Panics
    /// When the system gives no port or thread.
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
        let (seen, carried) = (orders.subscribe(), Arc::clone(&shared));
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut orders, shared) = (seen.clone(), Arc::clone(&carried));
                // A connection hears only what is ordered after it was made.
                orders.mark_unchanged();
                // However a connection ends, its client notices; nobody else need know.
                tokio::spawn(async move { shared.carry(client, orders).await.ok() });
            }
        });
        Self {
            address,
            orders,
            shared,
            _runtime: runtime,
        }
    }

    /// The address that clients are given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// Changes the fault.
    pub fn fault(&self, fault: NetworkFault) {
        self.orders.send_modify(|orders| orders.fault = fault);
    }

    /// Closes all connections that there are.
    pub fn cut(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    /// From here on the connections that there are swallow what is sent, and never close. New ones
    /// work.
    pub fn half_open(&self) {
        self.orders.send_modify(|orders| orders.half_opens += 1);
    }

    /// Whether the next script call, and only that one, is applied and the connection reset instead
    /// of answered.
    pub fn reset_next_answer(&self, reset: bool) {
        self.shared.reset.store(reset, Ordering::SeqCst);
    }

    /// What connections have counts so far.
    #[must_use]
    pub fn counts(&self) -> ProxyCounts {
        lock(&self.shared.counts).clone()
    }
}

/// A counter is right also after a task that held it panicked.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    async fn carry(
        &self,
        mut client: TcpStream,
        mut orders: watch::Receiver<Orders>,
    ) -> std::io::Result<()> {
        let mut server = TcpStream::connect(self.server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let begun = *orders.borrow();
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        // A script call that was sent when nothing else was unanswered: the next answer is its own.
        let mut open: Option<String> = None;
        let mut quiet = true;
        loop {
            tokio::select! {
                changed = orders.changed() => {
                    let Ok(()) = changed else { return Ok(()) };
                    if orders.borrow().cuts > begun.cuts {
                        lock(&self.counts).cut += 1;
                        return Ok(());
                    }
                    if orders.borrow().half_opens > begun.half_opens {
                        return self.swallow(client).await;
                    }
                }
                length = client.read(&mut asked) => {
                    let request = &asked[..length?];
                    if request.is_empty() { return Ok(()) }
                    self.thaw(&mut orders).await;
                    open = (quiet && is_script(request)).then(|| String::from_utf8_lossy(request).into_owned());
                    quiet = false;
                    server.write_all(request).await?;
                }
                length = server.read(&mut answered) => {
                    let answer = &answered[..length?];
                    if answer.is_empty() { return Ok(()) }
                    if let Some(request) = open.take().filter(|_| answer[0] != b'-' && self.reset.swap(false, Ordering::SeqCst)) {
                        lock(&self.counts).reset.push(request);
                        return client.set_zero_linger();
                    }
                    self.delay(&orders).await;
                    self.thaw(&mut orders).await;
                    quiet = true;
                    client.write_all(answer).await?;
                }
            }
        }
    }

    /// Reads and throws away, until the client gives up.
    async fn swallow(&self, mut client: TcpStream) -> std::io::Result<()> {
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

    async fn thaw(&self, orders: &mut watch::Receiver<Orders>) {
        if orders.borrow().fault == NetworkFault::Frozen {
            lock(&self.counts).frozen += 1;
            // An error means that the proxy is gone, and this task soon after it.
            orders
                .wait_for(|orders| orders.fault != NetworkFault::Frozen)
                .await
                .ok();
            // Whatever else was ordered meanwhile is still to be heard.
            orders.mark_changed();
        }
    }
}

fn is_script(request: &[u8]) -> bool {
    request.windows(9).any(|part| part == b"\r\nEVALSHA")
}

#[cfg(test)]
#[path = "proxy/tests.rs"]
mod tests;
