//! Files, names and paths that nobody here wrote.

mod endless;
mod images;
mod models;
mod names;
mod png;
mod roots;
mod usage;

use ddrs_common::queue::PrivateServer;
use ddrs_tests::{ProgramOutput, TestDir, run_to_end};

/// A Redis of one's own beside a folder.
struct Queue {
    server: PrivateServer,
    runtime: tokio::runtime::Runtime,
}

impl Queue {
    fn start(dir: &TestDir) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let server = runtime
            .block_on(PrivateServer::start(&dir.path("redis")))
            .unwrap();
        Self { server, runtime }
    }

    /// A coordinator's command, to its end.
    fn ask(&self, dir: &TestDir, arguments: &[&str]) -> ProgramOutput {
        run_to_end(
            dir.coordinator()
                .args(arguments)
                .env("DDRS_REDIS", self.server.url()),
        )
    }

    /// A worker that does what there is to do.
    fn work(&self, dir: &TestDir, arguments: &[&str]) -> ProgramOutput {
        let mut worker = dir.worker();
        worker.args([
            "run",
            "--exit-when-idle",
            "--device",
            "cpu",
            "--threads",
            "1",
        ]);
        run_to_end(worker.args(arguments).env("DDRS_REDIS", self.server.url()))
    }

    fn run_to_end(self) {
        self.runtime.block_on(self.server.stop()).unwrap();
    }
}

/// A specification of an image folder whose pictures become 8 x 8 pixels, with a half-space over
/// them.
fn pictures(dir: &TestDir, dataset: &str) -> std::path::PathBuf {
    ddrs_tests::write_half_space(&dir.path("model.safetensors"), &vec![0.1; 3 * 8 * 8], -8.0);
    dir.write(
        "sweep.toml",
        format!(
            "name = \"pictures\"\nseed = 1\n[dataset]\nformat = \"image-folder\"\npath = \"images\"\n{dataset}\
             [[model]]\nname = \"plane\"\npath = \"model.safetensors\"\narchitecture = \"half-space\"\nclasses = 2\n\
             [smoothing]\nsigma = [0.5]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.001\n[queue]\njob-samples = 4\n"
        ),
    )
}
