//! The thread that owns the device and the networks. It takes one order at a time and answers with events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use ddrs_common::domain::{Certification, Record, SampleIndex};
use ddrs_common::plan::Job;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::Assignment;
use crate::cli::DeviceArgs;
use crate::engine::{Engine, Network, Sample};

/// What a worker is to certify: some samples of a job.
pub struct Order {
    /// The sweep.
    pub assignment: Arc<Assignment>,
    /// The job.
    pub job: Job,
    /// Which of its samples, counted from 0 within the job.
    pub places: Vec<u64>,
    /// What records call this worker.
    pub worker: String,
    /// Which attempt at the job this is.
    pub attempt: u32,
}

/// What the compute thread has to tell.
pub enum Event {
    /// A sample is done, certified or failed.
    Sample {
        /// Its place in the job.
        place: u64,
        /// Its record.
        record: Box<Record>,
    },
    /// The order is at its end.
    Ended(Result<()>),
}

/// The other end of the compute thread.
pub struct Compute {
    tasks: mpsc::Sender<Task>,
    stop: Arc<AtomicBool>,
    device: String,
}

enum Task {
    Prepare(Arc<Assignment>, oneshot::Sender<Result<()>>),
    Certify(Order, Arc<AtomicBool>, UnboundedSender<Event>),
}

impl Compute {
    /// Starts the thread and sets up the device.
    ///
    /// # Errors
    /// When the device cannot be had; says why.
    pub fn start(args: &DeviceArgs) -> Result<Self> {
        let (tasks, inbox) = mpsc::channel();
        let (ready, answer) = mpsc::sync_channel(1);
        let args = args.clone();
        thread::Builder::new().name("compute".to_owned()).spawn(move || {
            let engine = Engine::new(&args);
            let device = engine.as_ref().map(|engine| engine.device().to_owned()).map_err(|error| anyhow!("{error:#}"));
            let _ = ready.send(device);
            if let Ok(engine) = engine {
                Bench { engine, network: None }.work(&inbox);
            }
        })?;
        let device = answer.recv().context("the compute thread did not start")??;
        Ok(Self { tasks, stop: Arc::default(), device })
    }

    /// What records call the device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Loads every model of a sweep once and sends an image through it, so that what does not fit is known before a
    /// job is claimed.
    ///
    /// # Errors
    /// When a model is not the one submitted, cannot be loaded, or does not score images as specified.
    pub async fn prepare(&self, assignment: &Arc<Assignment>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Prepare(Arc::clone(assignment), reply))?;
        answer.await.context("the compute thread is gone")?
    }

    /// Begins an order; its events come as they happen.
    pub fn certify(&mut self, order: Order) -> UnboundedReceiver<Event> {
        let (events, stream) = unbounded_channel();
        self.stop = Arc::default();
        // A dead thread closes the stream, which the receiver notices.
        let _ = self.send(Task::Certify(order, Arc::clone(&self.stop), events));
        stream
    }

    /// Stops the order in progress, if any, at its next chunk.
    pub fn cancel(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn send(&self, task: Task) -> Result<()> {
        self.tasks.send(task).map_err(|_| anyhow!("the compute thread is gone"))
    }
}

/// The thread's side.
struct Bench {
    engine: Engine,
    /// The network of the last job: jobs come variant by variant, so one is enough.
    network: Option<(String, Arc<Network>)>,
}

impl Bench {
    fn work(&mut self, inbox: &mpsc::Receiver<Task>) {
        while let Ok(task) = inbox.recv() {
            match task {
                Task::Prepare(assignment, reply) => {
                    let models = 0..assignment.sweep.models.len();
                    let prepared = models.map(|model| self.network(&assignment, model).map(drop)).collect();
                    let _ = reply.send(prepared);
                }
                Task::Certify(order, stop, events) => {
                    let ended = self.certify(&order, &stop, &events);
                    let _ = events.send(Event::Ended(ended));
                }
            }
        }
    }

    fn certify(&mut self, order: &Order, stop: &AtomicBool, events: &UnboundedSender<Event>) -> Result<()> {
        let Order { assignment, job, places, .. } = order;
        let variant = &assignment.variants[job.variant];
        let network = self.network(assignment, variant.model)?;
        let mut samples = Vec::new();
        for &place in places {
            let index = assignment.plan.index(job.positions.start + place);
            match assignment.image(index) {
                Ok(image) => samples.push(Sample { index, image }),
                Err(error) => self.tell(order, index, Err(error.to_string()), 0.0, events)?,
            }
        }
        let device = self.engine.device().to_owned();
        self.engine.certify(&network, variant, &assignment.sweep, samples, stop, &|index, result, seconds| {
            // A receiver that has gone has set `stop`.
            let _ = tell(order, &device, index, result, seconds, events);
        })
    }
}
