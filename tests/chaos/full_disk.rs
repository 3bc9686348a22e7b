//! Fills up disks during a run: the disk of the coordinator, that of Redis, and one that both
//! share. Each disk is a small tmpfs.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::checks::{check_records, reference};
use super::process::processes_in;
use super::running_coordinator::RunningCoordinator;
use super::test_sweep::write_spec;
use super::{ChaosContext, Fsync, RedisServer, TestSweep, chaos_sweep, wait_for};
use crate::TestDir;

const COORDINATOR: &str = "full disks at the coordinator";
const MISCONF: &str = "full disks at redis under appendfsync everysec";
const ENDED: &str = "full disks that stopped redis under appendfsync always";
const SHARED: &str = "full disks shared by coordinator and redis";

pub(super) fn run(context: &mut ChaosContext) {
    let probe = TestDir::new();
    if let Err(reason) = SmallDisk::mount(&probe.path("probe")) {
        return context.skip(format!("cannot mount a tmpfs: {reason}"));
    }
    for (fault, one_run) in [
        (COORDINATOR, at_the_coordinator as fn(&mut ChaosContext)),
        (MISCONF, at_redis),
        (ENDED, at_redis_until_it_stops),
        (SHARED, at_both),
    ] {
        context.announce(fault, context.pick(1, 10));
        while context.lacks(fault) {
            one_run(context);
        }
    }
}

/// A file system of 4 MiB. It is unmounted on drop.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        let mounted = mount
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(at)
            .output();
        let mounted = mounted.map_err(|error| error.to_string())?;
        if !mounted.status.success() {
            return Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned());
        }
        Ok(Self(at.to_owned()))
    }

    /// Fills the file system with one file.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("a file that can be removed");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount succeeds even if a process of a failed case still uses the file system.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn disk(at: &Path) -> SmallDisk {
    SmallDisk::mount(at).expect("a tmpfs can be mounted, as the probe showed")
}

fn at_the_coordinator(context: &mut ChaosContext) {
    let mut sweep = TestSweep::new(&chaos_sweep(), Fsync::EverySecond);
    let room = disk(&sweep.dir.path("out"));
    let mut run = RunningCoordinator::start(&sweep.dir, Some(&sweep.redis));
    context.count(COORDINATOR, 1);
    room.fill();
    run.wait_for_log("No space left on device");
    // Workers continue. Their records wait in Redis.
    wait_for("end of the workers' work", || {
        (sweep.status()["done"] == sweep.samples()).then_some(())
    });
    assert!(run.is_alive(), "{}", run.log());
    room.make_room();
    run.wait_for_success();
    sweep.disks.push(room);
    sweep.check_collected("out", context);
}

fn at_redis(context: &mut ChaosContext) {
    let dir = TestDir::new();
    let room = disk(&dir.path("redis"));
    let redis = RedisServer::start(&dir.path("redis"), Fsync::EverySecond, &[]);
    let mut sweep = TestSweep::on(dir, redis, &chaos_sweep());
    let mut run = RunningCoordinator::start(&sweep.dir, Some(&sweep.redis));
    context.count(MISCONF, 1);
    room.fill();
    run.wait_for_log("MISCONF");
    room.make_room();
    run.wait_for_success();
    sweep.disks.push(room);
    sweep.check_collected("out", context);
}

fn at_redis_until_it_stops(context: &mut ChaosContext) {
    let dir = TestDir::new();
    let room = disk(&dir.path("redis"));
    let redis = RedisServer::start(&dir.path("redis"), Fsync::Always, &[]);
    let mut sweep = TestSweep::on(dir, redis, &chaos_sweep());
    let mut run = RunningCoordinator::start(&sweep.dir, Some(&sweep.redis));
    context.count(ENDED, 1);
    room.fill();
    wait_for("end of a redis-server that cannot sync its file", || {
        sweep.redis.has_ended().then_some(())
    });
    room.make_room();
    sweep.redis.launch();
    run.wait_for_success();
    sweep.disks.push(room);
    sweep.check_collected("out", context);
}

fn at_both(context: &mut ChaosContext) {
    let dir = TestDir::new();
    let spec = chaos_sweep();
    write_spec(&dir, &spec);
    let room = disk(&dir.path("out"));
    let mut run = RunningCoordinator::start(&dir, None);
    context.count(SHARED, 1);
    room.fill();
    wait_for("message about a full disk", || {
        let log = run.log();
        (log.contains("No space left on device") || log.contains("MISCONF")).then_some(())
    });
    room.make_room();
    run.wait_for_success();
    context.compared(check_records(&dir.path("out"), &reference(&spec)));
    wait_for("end of every process of the run", || {
        processes_in(dir.dir.path()).is_empty().then_some(())
    });
}
