//! The thread that owns the device and the networks. It takes one request at a time and answers
//! with events.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use ddrs_common::domain::{SampleIndex, SweepId};
use ddrs_common::spec::ModelSpec;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::open_sweep::OpenSweep;
use super::work_item::{WorkEvent, WorkItem};
use ddrs_worker::device::THREAD_STACK_BYTES;
use ddrs_worker::engine::{Engine, EngineOptions, LoadedNetwork, Sample, SampleResult, SweepPart};
use ddrs_worker::model::ModelFile;

/// Number of images that are read before the engine asks for them.
const READ_AHEAD: usize = 4;

/// A handle to the device thread.
pub(super) struct DeviceHandle {
    requests: mpsc::Sender<DeviceRequest>,
    stop: Arc<AtomicBool>,
    device: String,
}

enum DeviceRequest {
    Prepare(Arc<OpenSweep>, oneshot::Sender<Result<()>>),
    Certify(WorkItem, Arc<AtomicBool>, UnboundedSender<WorkEvent>),
}

impl DeviceHandle {
    /// Starts the thread and sets up the device.
    ///
    /// # Errors
    /// When the device cannot be used; says why.
    pub(super) fn start(options: EngineOptions) -> Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let (ready, answer) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("device".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || run_thread(&options, &ready, &inbox))?;
        let device = answer.recv().context("the device thread did not start")??;
        Ok(Self {
            requests,
            stop: Arc::default(),
            device,
        })
    }

    /// Returns the name of the device in records.
    pub(super) fn device(&self) -> &str {
        &self.device
    }

    /// Loads every model of a sweep once and sends an image through it, so that a model that cannot
    /// be used is known before a job is claimed.
    ///
    /// # Errors
    /// When a model is not the one submitted, cannot be loaded, or does not score images as
    /// specified.
    pub(super) async fn prepare(&self, sweep: &Arc<OpenSweep>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(DeviceRequest::Prepare(Arc::clone(sweep), reply))?;
        answer.await.context("the device thread has ended")?
    }

    /// Begins a work item. Its events arrive as they happen.
    pub(super) fn certify(&mut self, item: WorkItem) -> UnboundedReceiver<WorkEvent> {
        let (events, stream) = unbounded_channel();
        self.stop = Arc::default();
        let request = DeviceRequest::Certify(item, Arc::clone(&self.stop), events);
        // A thread that has ended closes the stream, which the receiver notices.
        let _ = self.send(request);
        stream
    }

    /// Stops the work item in progress, if there is one, at its next chunk.
    pub(super) fn cancel(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn send(&self, request: DeviceRequest) -> Result<()> {
        let sent = self.requests.send(request);
        sent.map_err(|_| anyhow!("the device thread has ended"))
    }
}

/// Sets up the device, reports its name or the problem, and answers requests until the handle is
/// dropped.
fn run_thread(
    options: &EngineOptions,
    ready: &SyncSender<Result<String>>,
    inbox: &Receiver<DeviceRequest>,
) {
    match Engine::new(options) {
        Ok(engine) => {
            let _ = ready.send(Ok(engine.device().to_owned()));
            DeviceThread::new(engine).run(inbox);
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

/// The state of the device thread.
struct DeviceThread {
    engine: Engine,
    networks: NetworkCache,
}

impl DeviceThread {
    fn new(engine: Engine) -> Self {
        Self {
            engine,
            networks: NetworkCache(Vec::new()),
        }
    }

    fn run(&mut self, inbox: &Receiver<DeviceRequest>) {
        while let Ok(request) = inbox.recv() {
            match request {
                DeviceRequest::Prepare(sweep, reply) => {
                    let _ = reply.send(self.prepare_all(&sweep));
                }
                DeviceRequest::Certify(item, stop, events) => {
                    let ended = self.certify(&item, &stop, &events);
                    let _ = events.send(WorkEvent::Ended(ended));
                }
            }
        }
    }

    fn prepare_all(&mut self, sweep: &OpenSweep) -> Result<()> {
        let mut networks = 0..sweep.sweep.networks().len();
        networks.try_for_each(|place| self.prepare(sweep, place))
    }

    /// Loads a model and measures how large its forward passes should be, while no job waits for
    /// it.
    fn prepare(&mut self, sweep: &OpenSweep, place: usize) -> Result<()> {
        let networks = self.networks.load(&self.engine, sweep, &[place])?;
        let mut sizes = networks.into_iter().map(|network| {
            let images = self.engine.images_per_pass(network, &sweep.sweep);
            images.map(drop)
        });
        sizes.try_for_each(|measured| measured)
    }

    fn certify(
        &mut self,
        item: &WorkItem,
        stop: &AtomicBool,
        events: &UnboundedSender<WorkEvent>,
    ) -> Result<()> {
        let places = item.sweep.sweep.networks_of(item.variant());
        let networks = self.networks.load(&self.engine, &item.sweep, &places)?;
        let device = self.engine.device();
        // A receiver that has gone has stopped the work item as well, so a failure does not matter.
        let report = |index, result, seconds| {
            let _ = events.send(item.event(index, result, seconds, device));
        };
        let run = ItemRun {
            engine: &self.engine,
            networks: &networks,
            item,
            stop,
        };
        run.certify(&report)
    }
}

/// A work item in progress.
struct ItemRun<'a> {
    engine: &'a Engine,
    networks: &'a [&'a LoadedNetwork],
    item: &'a WorkItem,
    stop: &'a AtomicBool,
}

impl ItemRun<'_> {
    /// Certifies the samples. Their images are read and resized meanwhile, a few ahead.
    fn certify(&self, report: &(impl Fn(SampleIndex, SampleResult, f64) + Sync)) -> Result<()> {
        let item = self.item;
        // An image of another shape is reported at once, and is not kept until the others are read.
        let shape = self.networks[0].shape();
        thread::scope(|scope| {
            let (sender, samples) = mpsc::sync_channel(READ_AHEAD);
            let reader = scope.spawn(move || item.read_images(shape, &sender, report));
            // This drops the receiver, so that a reader that waits to send an image ends.
            let certified = self.certify_samples(samples.into_iter(), report);
            certified.and(join(reader))
        })
    }

    fn certify_samples(
        &self,
        mut samples: mpsc::IntoIter<Sample>,
        report: &(impl Fn(SampleIndex, SampleResult, f64) + Sync),
    ) -> Result<()> {
        if !self.item.isolates_samples() {
            return self.run_engine(&mut samples, report);
        }
        one_by_one(
            samples,
            |sample| sample.index,
            self.stop,
            |sample| self.run_engine(&mut iter::once(sample), report),
        )
    }

    fn run_engine(
        &self,
        samples: &mut (dyn Iterator<Item = Sample> + Send),
        report: &(impl Fn(SampleIndex, SampleResult, f64) + Sync),
    ) -> Result<()> {
        let sweep = &self.item.sweep;
        let part = SweepPart {
            sweep: &sweep.sweep,
            variant: self.item.variant(),
            data: &sweep.data,
        };
        self.engine
            .certify(self.networks, part, samples, self.stop, report)
    }
}

fn join(reader: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    let ended = reader.join();
    ended.unwrap_or_else(|_| Err(anyhow!("the thread that reads images has panicked")))
}

/// Certifies every sample alone, until `stop` is set.
///
/// # Errors
/// The first one, with the name of its sample, after all samples were tried.
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

/// The networks of the last job. Jobs are ordered by variant, so those of one variant are enough.
struct NetworkCache(Vec<CachedNetwork>);

struct CachedNetwork {
    sweep: SweepId,
    /// Its place in [`ddrs_common::spec::Sweep::networks`].
    place: usize,
    network: LoadedNetwork,
}

impl NetworkCache {
    /// Returns the networks of a sweep at these places, in this order. Loads those that are not
    /// cached.
    fn load(
        &mut self,
        engine: &Engine,
        sweep: &OpenSweep,
        places: &[usize],
    ) -> Result<Vec<&LoadedNetwork>> {
        let id = &sweep.message.id;
        // Others are dropped first, so that memory never holds those of two variants.
        let is_wanted = |cached: &CachedNetwork| places.iter().any(|&place| cached.is(id, place));
        self.0.retain(is_wanted);
        for &place in places {
            if self.find(id, place).is_none() {
                self.0.push(CachedNetwork {
                    sweep: id.clone(),
                    place,
                    network: load(engine, sweep, place)?,
                });
            }
        }
        let places = places.iter();
        Ok(places.filter_map(|&place| self.find(id, place)).collect())
    }

    fn find(&self, sweep: &SweepId, place: usize) -> Option<&LoadedNetwork> {
        let mut cached = self.0.iter();
        let cached = cached.find(|cached| cached.is(sweep, place))?;
        Some(&cached.network)
    }
}

impl CachedNetwork {
    fn is(&self, sweep: &SweepId, place: usize) -> bool {
        self.sweep == *sweep && self.place == place
    }
}

/// Loads a network of a sweep, and checks that it is the one that was submitted.
///
/// # Errors
/// When it is another one, or cannot be used.
pub(crate) fn load(engine: &Engine, sweep: &OpenSweep, place: usize) -> Result<LoadedNetwork> {
    let networks = sweep.sweep.networks();
    let spec = networks[place];
    let context = || format!("model {}", spec.name);
    let file = ModelFile::read(spec, sweep.roots()).with_context(context)?;
    check_digest(spec, &file, &sweep.message.model_digests[place])?;
    let shape = sweep.data.images.shape;
    engine.load_file(spec, &file, shape).with_context(context)
}

fn check_digest(spec: &ModelSpec, file: &ModelFile, submitted: &str) -> Result<()> {
    let found = file.digest();
    ensure!(
        found == submitted,
        "{} is not the model that was submitted: its digest is {found}, the sweep's {submitted}",
        spec.path.display()
    );
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_fails_is_named_and_does_not_stop_the_others() {
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
    fn a_stop_takes_effect_between_two_samples() {
        let stop = AtomicBool::new(false);
        let mut certified = Vec::new();
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
