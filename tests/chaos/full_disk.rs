//! Disks that fill up in the middle of a run: the coordinator's, Redis's, and one that both share.
//! Each is a small tmpfs.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::aftermath::{check_records, reference};
use super::process::processes_in;
use super::running::Run;
use super::scene::write_spec;
use super::{Fsync, Lab, RedisServer, Scene, chaos_sweep, wait_for};
use crate::TestDir;

const COORDINATOR: &str = "full disks at the coordinator";
const MISCONF: &str = "full disks at redis under appendfsync everysec";
const ENDED: &str = "full disks that ended redis under appendfsync always";
const SHARED: &str = "full disks that coordinator and redis shared";

pub(super) fn run(lab: &mut Lab) {
    let probe = TestDir::new();
    if let Err(reason) = Disk::mount(&probe.path("probe")) {
        return lab.skip(format!("a tmpfs cannot be mounted here: {reason}"));
    }
    for (fault, one_run) in [
        (COORDINATOR, at_the_coordinator as fn(&mut Lab)),
        (MISCONF, at_redis),
        (ENDED, at_a_redis_that_ends),
        (SHARED, at_both),
    ] {
        lab.announce(fault, lab.pick(1, 10));
        while lab.lacks(fault) {
            one_run(lab);
        }
    }
}

/// A small file system, unmounted when this is dropped.
pub(super) struct Disk(PathBuf);

impl Disk {
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

    /// Takes all the room there is.
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

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, since a process that a failed case left may be in it still.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn disk(at: &Path) -> Disk {
    Disk::mount(at).expect("a mount, as a moment ago")
}

fn at_the_coordinator(lab: &mut Lab) {
    let mut scene = Scene::new(&chaos_sweep(), Fsync::EverySecond);
    let room = disk(&scene.dir.path("out"));
    let mut run = Run::start(&scene.dir, Some(&scene.redis));
    lab.count(COORDINATOR, 1);
    room.fill();
    run.says("No space left on device");
    // Workers go on: what they record waits in Redis.
    wait_for("end of the workers' work", || {
        (scene.status()["done"] == scene.samples()).then_some(())
    });
    assert!(run.is_alive(), "{}", run.log());
    room.make_room();
    run.succeeds();
    scene.disks.push(room);
    scene.check_collected("out", lab);
}

fn at_redis(lab: &mut Lab) {
    let dir = TestDir::new();
    let room = disk(&dir.path("redis"));
    let redis = RedisServer::start(&dir.path("redis"), Fsync::EverySecond, &[]);
    let mut scene = Scene::on(dir, redis, &chaos_sweep());
    let mut run = Run::start(&scene.dir, Some(&scene.redis));
    lab.count(MISCONF, 1);
    room.fill();
    run.says("MISCONF");
    room.make_room();
    run.succeeds();
    scene.disks.push(room);
    scene.check_collected("out", lab);
}

fn at_a_redis_that_ends(lab: &mut Lab) {
    let dir = TestDir::new();
    let room = disk(&dir.path("redis"));
    let redis = RedisServer::start(&dir.path("redis"), Fsync::Always, &[]);
    let mut scene = Scene::on(dir, redis, &chaos_sweep());
    let mut run = Run::start(&scene.dir, Some(&scene.redis));
    lab.count(ENDED, 1);
    room.fill();
    wait_for("end of a redis-server that cannot keep its promise", || {
        scene.redis.has_ended().then_some(())
    });
    room.make_room();
    scene.redis.launch();
    run.succeeds();
    scene.disks.push(room);
    scene.check_collected("out", lab);
}

fn at_both(lab: &mut Lab) {
    let (dir, spec) = (TestDir::new(), chaos_sweep());
    write_spec(&dir, &spec);
    let room = disk(&dir.path("out"));
    let mut run = Run::start(&dir, None);
    lab.count(SHARED, 1);
    room.fill();
    wait_for("word of a full disk", || {
        let log = run.log();
        (log.contains("No space left on device") || log.contains("MISCONF")).then_some(())
    });
    room.make_room();
    run.succeeds();
    lab.compared(check_records(&dir.path("out"), &reference(&spec)));
    wait_for("end of every process of the run", || {
        processes_in(dir.dir.path()).is_empty().then_some(())
    });
}
