//! Tests damaged and hostile files, names and paths.

mod endless;
mod images;
mod models;
mod names;
mod png;
mod roots;
mod usage;

use ddrs_common::queue::PrivateServer;
use ddrs_tests::{ProgramOutput, TestDir, run_to_end};

/// A private Redis for the sweeps in a folder.
struct PrivateQueue {
    server: PrivateServer,
    runtime: tokio::runtime::Runtime,
}

impl PrivateQueue {
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

    /// Runs a command of the coordinator to its end.
    fn ask(&self, dir: &TestDir, arguments: &[&str]) -> ProgramOutput {
        run_to_end(
            dir.coordinator()
                .args(arguments)
                .env("DDRS_REDIS", self.server.url()),
        )
    }

    /// Runs a worker until no job is left.
    fn work(&self, dir: &TestDir, arguments: &[&str]) -> ProgramOutput {
        let mut worker = dir.worker();
        worker
            .args(["run", "--exit-when-idle"])
            .args(["--device", "cpu", "--threads", "1"]);
        run_to_end(worker.args(arguments).env("DDRS_REDIS", self.server.url()))
    }

    fn stop(self) {
        self.runtime.block_on(self.server.stop()).unwrap();
    }
}

/// Writes a specification of an image folder with a half-space classifier for 8 x 8 pixels.
fn pictures(dir: &TestDir, dataset: &str) -> std::path::PathBuf {
    ddrs_tests::write_half_space(&dir.path("model.safetensors"), &vec![0.1; 3 * 8 * 8], -8.0);
    dir.write(
        "sweep.toml",
        format!(
            "name = \"pictures\"\nseed = 1\n\
             [dataset]\nformat = \"image-folder\"\npath = \"images\"\n{dataset}\
             [[model]]\nname = \"plane\"\npath = \"model.safetensors\"\n\
             architecture = \"half-space\"\nclasses = 2\n\
             [smoothing]\nsigma = [0.5]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.001\n\
             [queue]\njob-samples = 4\n"
        ),
    )
}
