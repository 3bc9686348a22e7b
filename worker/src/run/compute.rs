//! The thread that owns the device and the networks. It takes one order at a time and answers with
//! events.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use ddrs_common::domain::{Class, Record, SampleIndex, SweepId};
use ddrs_common::plan::Job;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::Assignment;
use ddrs_worker::device::THREAD_STACK_BYTES;
use ddrs_worker::engine::{Engine, EngineOptions, LoadedNetwork, Sample, SampleResult};
use ddrs_worker::model::ModelFile;

/// Images that are read before a lane asks for them.
const READ_AHEAD: usize = 4;

/// What a worker is to certify: some samples of a job.
pub(crate) struct Order {
    /// The sweep.
    pub(crate) assignment: Arc<Assignment>,
    /// The job.
    pub(crate) job: Job,
    /// Which of its samples, counted from 0 within the job.
    pub(crate) places: Vec<u64>,
    /// What records call this worker.
    pub(crate) worker: String,
    /// Which attempt at the job this is.
    pub(crate) attempt: u32,
}

/// What the compute thread has to tell.
pub(crate) enum Event {
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
pub(crate) struct Compute {
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
    pub(crate) fn start(options: EngineOptions) -> Result<Self> {
        let (tasks, inbox) = mpsc::channel();
        let (ready, answer) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("compute".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || {
                let engine = Engine::new(&options);
                let device = engine
                    .as_ref()
                    .map(|engine| engine.device().to_owned())
                    .map_err(|error| anyhow!("{error:#}"));
                let _ = ready.send(device);
                if let Ok(engine) = engine {
                    Lab {
                        engine,
                        network: None,
                    }
                    .work(&inbox);
                }
            })?;
        let device = answer
            .recv()
            .context("the compute thread did not start")??;
        Ok(Self {
            tasks,
            stop: Arc::default(),
            device,
        })
    }

    /// What records call the device.
    #[must_use]
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Loads every model of a sweep once and sends an image through it, so that what does not fit
    /// is known before a job is claimed.
    ///
    /// # Errors
    /// When a model is not the one submitted, cannot be loaded, or does not score images as
    /// specified.
    pub(crate) async fn prepare(&self, assignment: &Arc<Assignment>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Prepare(Arc::clone(assignment), reply))?;
        answer.await.context("the compute thread is gone")?
    }

    /// Begins an order; its events come as they happen.
    pub(crate) fn certify(&mut self, order: Order) -> UnboundedReceiver<Event> {
        let (events, stream) = unbounded_channel();
        self.stop = Arc::default();
        // A dead thread closes the stream, which the receiver notices.
        let _ = self.send(Task::Certify(order, Arc::clone(&self.stop), events));
        stream
    }

    /// Stops the order in progress, if any, at its next chunk.
    pub(crate) fn cancel(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn send(&self, task: Task) -> Result<()> {
        self.tasks
            .send(task)
            .map_err(|_| anyhow!("the compute thread is gone"))
    }
}

/// The thread's side.
struct Lab {
    engine: Engine,
    /// The network of the last job: jobs come variant by variant, so one is enough.
    network: Option<(SweepId, usize, LoadedNetwork)>,
}

impl Lab {
    fn work(&mut self, inbox: &mpsc::Receiver<Task>) {
        while let Ok(task) = inbox.recv() {
            match task {
                Task::Prepare(assignment, reply) => {
                    let models = 0..assignment.sweep.models.len();
                    let _ = reply.send(
                        models
                            .into_iter()
                            .try_for_each(|model| self.prepare(&assignment, model)),
                    );
                }
                Task::Certify(order, stop, events) => {
                    let ended = self.certify(&order, &stop, &events);
                    let _ = events.send(Event::Ended(ended));
                }
            }
        }
    }

    fn certify(
        &mut self,
        order: &Order,
        stop: &AtomicBool,
        events: &UnboundedSender<Event>,
    ) -> Result<()> {
        let Order {
            assignment,
            job,
            places,
            ..
        } = order;
        let variant = &assignment.variants[job.variant];
        let device = self.engine.device().to_owned();
        let tell = &|index, result, seconds| order.tell(index, result, seconds, &device, events);
        // First, for it says what shape images have: one of another is not kept in memory until the
        // others are read.
        self.load(assignment, variant.model)?;
        let Some((_, _, network)) = &self.network else {
            return Ok(());
        };
        let engine = &self.engine;
        let certify = |samples: &mut (dyn Iterator<Item = Sample> + Send)| {
            engine.certify(network, variant, &assignment.sweep, samples, stop, tell)
        };
        thread::scope(|scope| {
            // Images are read and resized while lanes are busy with the ones before.
            let (sender, samples) = mpsc::sync_channel(READ_AHEAD);
            let shape = network.shape();
            let reader = scope.spawn(move || order.read(places, shape, &sender, tell));
            let mut samples = samples.into_iter();
            let certified = if order.attempt > 1 && places.len() > 1 {
                // What went wrong before may be one sample's doing, and takes the others along only
                // once.
                one_by_one(
                    &mut samples,
                    |sample| sample.index,
                    stop,
                    |sample| certify(&mut iter::once(sample)),
                )
            } else {
                certify(&mut samples)
            };
            // A reader that waits to hand an image on notices that nobody takes it any more.
            drop(samples);
            let read = reader
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the thread that reads images is gone")));
            certified.and(read)
        })
    }

    /// Loads a model and finds out how large its forward passes should be, while no job waits for
    /// it.
    fn prepare(&mut self, assignment: &Assignment, model: usize) -> Result<()> {
        self.load(assignment, model)?;
        let Some((_, _, network)) = &self.network else {
            return Ok(());
        };
        self.engine
            .images_per_pass(network, &assignment.sweep)
            .map(drop)
    }

    /// Makes a model of a sweep the one at hand.
    fn load(&mut self, assignment: &Assignment, model: usize) -> Result<()> {
        let (sweep, spec) = (&assignment.message.id, &assignment.sweep.models[model]);
        if self
            .network
            .as_ref()
            .is_some_and(|(id, number, _)| id == sweep && *number == model)
        {
            return Ok(());
        }
        // First, so that there is never memory for two.
        self.network = None;
        let file = ModelFile::read(spec, assignment.roots())
            .with_context(|| format!("model {}", spec.name))?;
        let (found, submitted) = (file.digest(), &assignment.message.model_digests[model]);
        ensure!(
            found == *submitted,
            "{} is not the model that was submitted: its digest is {found}, the sweep's {submitted}",
            spec.path.display()
        );
        let shape = assignment.example().context("no image can be read")?.shape;
        let network = self
            .engine
            .load_file(spec, &file, shape)
            .with_context(|| format!("model {}", spec.name))?;
        self.network = Some((sweep.clone(), model, network));
        Ok(())
    }
}

/// Certifies all samples, each on its own, until told to stop.
///
/// # Errors
/// The first one, with the name of its sample, when all have had their turn.
fn one_by_one<S>(
    samples: impl Iterator<Item = S>,
    index: impl Fn(&S) -> SampleIndex,
    stop: &AtomicBool,
    mut certify: impl FnMut(S) -> Result<()>,
) -> Result<()> {
    let mut first = Ok(());
    for sample in samples {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let index = index(&sample);
        let certified = certify(sample).with_context(|| format!("sample {index}"));
        first = first.and(certified);
    }
    first
}

impl Order {
    /// Reads images and hands them on, for as long as somebody takes them.
    fn read(
        &self,
        places: &[u64],
        shape: [usize; 3],
        samples: &mpsc::SyncSender<Sample>,
        tell: &impl Fn(SampleIndex, SampleResult, f64),
    ) -> Result<()> {
        let mut unread = None;
        for &place in places {
            let position = self.job.positions.start + place;
            let index = self.assignment.plan.index(position);
            match self.assignment.image(index, shape) {
                Ok(image) => {
                    if samples
                        .send(Sample {
                            index,
                            position,
                            image,
                        })
                        .is_err()
                    {
                        break;
                    }
                }
                // A file system that fails is this machine's trouble, and may be over at the next
                // attempt.
                Err(error) if error.is_io() => unread = Some(error),
                Err(error) => tell(index, Err(error.to_string()), 0.0),
            }
        }
        unread.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Sends one sample's record. A receiver that has gone has stopped the order as well.
    fn tell(
        &self,
        index: SampleIndex,
        result: SampleResult,
        seconds: f64,
        device: &str,
        events: &UnboundedSender<Event>,
    ) {
        let position = self
            .assignment
            .plan
            .position(index)
            .unwrap_or(self.job.positions.start);
        let record = Record {
            variant: self.assignment.variants[self.job.variant].name.clone(),
            index,
            label: self.assignment.dataset().label(index).unwrap_or(Class(0)),
            result,
            seed: self.assignment.sweep.seed,
            seconds,
            worker: self.worker.clone(),
            attempt: self.attempt,
            device: device.to_owned(),
        };
        let place = position - self.job.positions.start;
        let _ = events.send(Event::Sample {
            place,
            record: Box::new(record),
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_comes_to_an_error_takes_none_along_and_is_named() {
        let mut certified = Vec::new();
        let ended = one_by_one(
            [3, 4, 5, 6].into_iter(),
            |&sample| SampleIndex(sample),
            &AtomicBool::new(false),
            |sample| {
                ensure!(sample % 2 == 1, "the model raises");
                certified.push(sample);
                Ok(())
            },
        );
        assert_eq!(certified, [3, 5]);
        assert_eq!(
            format!("{:#}", ended.unwrap_err()),
            "sample 4: the model raises"
        );
    }

    #[test]
    fn a_stop_is_heard_between_two_samples() {
        let (stop, mut certified) = (AtomicBool::new(false), Vec::new());
        one_by_one(
            [3, 4].into_iter(),
            |&sample| SampleIndex(sample),
            &stop,
            |sample| {
                certified.push(sample);
                stop.store(true, Ordering::Relaxed);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(certified, [3]);
    }
}
