#![allow(clippy::unwrap_used)]
use super::*;

const WRITTEN: &str = r#"name = "cohen"
seed = 1

[dataset]
format = "cifar10"
path = "data"

[model]
architecture = "cifar-resnet20"
classes = 10

[loss]
kind = "gaussian"

[sigma]
initial = 0.25

[train]
epochs = 90
batch = 256

[optimiser]
learning-rate = 0.1
"#;

fn read(text: &str) -> Result<Training, String> {
    Training::parse(text, Path::new("/specs/train.toml")).map_err(|error| error.to_string())
}

fn with(old: &str, new: &str) -> Result<Training, String> {
    assert!(WRITTEN.contains(old), "{old}");
    read(&WRITTEN.replace(old, new))
}

#[test]
fn what_is_not_written_has_the_usual_value() {
    let training = read(WRITTEN).unwrap();
    assert_eq!(training.dataset.path, Path::new("/specs/data"));
    assert_eq!((training.validation, training.loss), (1000, Loss::Gaussian));
    assert_eq!(training.sigma.choice, TrainingChoice::Fixed);
    assert_eq!(
        training.augmentation,
        Augmentation {
            crop_padding: 4,
            flip: true
        }
    );
    let optimiser = training.optimiser;
    assert_eq!(
        (
            optimiser.momentum,
            optimiser.weight_decay,
            optimiser.schedule
        ),
        (0.9, 1e-4, Schedule::Constant)
    );
}

#[test]
fn a_group_is_a_part_of_the_batch_and_else_the_whole_of_it() {
    let group = |text: &str| with("batch = 256", text).map(|training| training.group.get());
    assert_eq!(
        (group("batch = 256"), group("batch = 256\ngroup = 64")),
        (Ok(256), Ok(64))
    );
    for (wrong, says) in [
        ("100", "100 does not divide train.batch, 256"),
        ("0", "group"),
    ] {
        let error = group(&format!("batch = 256\ngroup = {wrong}")).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn losses_have_the_numbers_of_their_papers() {
    let smoothadv = with("kind = \"gaussian\"", "kind = \"smoothadv\"\nepsilon = 0.5").unwrap();
    assert_eq!(
        smoothadv.loss,
        Loss::SmoothAdv {
            draws: 1,
            steps: 10,
            epsilon: 0.5,
            warm_up: 10
        }
    );
    let macer = with("kind = \"gaussian\"", "kind = \"macer\"\nlambda = 4").unwrap();
    assert_eq!(
        macer.loss,
        Loss::Macer {
            draws: 16,
            beta: 16.0,
            gamma: 8.0,
            lambda: 4.0
        }
    );
}

#[test]
fn a_data_dependent_sigma_takes_the_numbers_of_its_ascent() {
    let text = "initial = 0.25\nchoice = \"data-dependent\"\nfrom-epoch = 3\ndraws = \
     8\nlearning-rate = 0.01";
    let TrainingChoice::DataDependent { from_epoch, ascent } =
        with("initial = 0.25", text).unwrap().sigma.choice
    else {
        panic!("it is fixed");
    };
    assert_eq!(
        (
            from_epoch,
            ascent.iterations,
            ascent.draws,
            ascent.learning_rate
        ),
        (3, 1, 8, 0.01)
    );
}

#[test]
fn schedules_take_their_own_numbers() {
    let schedule = |text| {
        with(
            "learning-rate = 0.1",
            &format!("learning-rate = 0.1\n{text}"),
        )
        .map(|t| t.optimiser.schedule)
    };
    let step = Schedule::Step {
        every: NonZeroU64::new(30).unwrap(),
        factor: 0.1,
    };
    assert_eq!(schedule("schedule = \"step\"\nevery = 30"), Ok(step));
    let milestones = Schedule::Milestones {
        epochs: vec![40, 80],
        factor: 0.5,
    };
    assert_eq!(
        schedule("schedule = \"milestones\"\nmilestones = [40, 80]\nfactor = 0.5"),
        Ok(milestones)
    );
    assert_eq!(schedule("schedule = \"cosine\""), Ok(Schedule::Cosine));
    assert_eq!(
        schedule("schedule = \"one-cycle\"\nrise = 0.2"),
        Ok(Schedule::OneCycle { rise: 0.2 })
    );
}

#[test]
fn errors_name_the_file_the_line_and_the_key() {
    for (old, new, error) in [
        (
            "epochs = 90",
            "epochs = 0",
            "19: train.epochs: must be from 1 to 1000000, not 0",
        ),
        (
            "batch = 256",
            "",
            "18: train.batch: is required and missing",
        ),
        (
            "kind = \"gaussian\"",
            "kind = \"gaussian\"\nsteps = 3",
            "14: loss.steps: has no meaning for loss gaussian",
        ),
        (
            "kind = \"gaussian\"",
            "kind = \"smoothadv\"",
            "12: loss.epsilon: is required and missing",
        ),
        (
            "initial = 0.25",
            "initial = 0.25\ndraws = 2",
            "17: sigma.draws: has no meaning for choice fixed",
        ),
        ("initial = 0.25", "initial = -1", "16: sigma.initial: "),
        (
            "initial = 0.25",
            "initial = 9\nchoice = \"data-dependent\"",
            "16: sigma.initial: 9 lies outside sigma.range",
        ),
        (
            "initial = 0.25",
            "initial = 0.25\nchoice = \"data-dependent\"\nrange = [0.1, 0.5, 0.9]",
            "18: sigma.range: wants two numbers, the lower end and the upper, not 3",
        ),
        (
            "initial = 0.25",
            "initial = 0.25\nchoice = \"data-dependent\"\nfrom-epoch = 90",
            "18: sigma.from-epoch: no sigma would ever move: 90 is not below train.epochs, 90",
        ),
        (
            "epochs = 90\nbatch = 256\n\n[optimiser]",
            "epochs = 1\nbatch = 256\n\n[optimiser]\nschedule = \"milestones\"\nmilestones = [1]",
            "24: optimiser.milestones: have no meaning for train.epochs = 1",
        ),
        (
            "0.1\n",
            "0.1\nschedule = \"milestones\"\nmilestones = [30, 30]\n",
            "25: optimiser.milestones[1]: milestones must ascend, and 30 comes after 30",
        ),
        (
            "kind = \"gaussian\"",
            "kind = \"smoothadv\"\nepsilon = 1e30",
            "14: loss.epsilon: must be above 0 and at most 1e6, not 1e30",
        ),
        (
            "cifar-resnet20",
            "half-space",
            "9: model.architecture: half-space has no weights that training could change",
        ),
        (
            "classes = 10",
            "classes = 10\nprecision = \"fp16\"",
            "11: model.precision: training runs in fp32 or bf16",
        ),
        (
            "0.1\n",
            "0.1\nmomentum = 1.0\n",
            "24: optimiser.momentum: must be from 0 to below 1, not 1",
        ),
        (
            "0.1\n",
            "0.1\nschedule = \"step\"\n",
            "22: optimiser.every: is required and missing",
        ),
        (
            "0.1\n",
            "0.1\nevery = 3\n",
            "24: optimiser.every: has no meaning for schedule constant",
        ),
        (
            "[train]",
            "[[train]]",
            "18: train: must be one table, [train]",
        ),
        (
            "seed = 1",
            "seed = 1\nsamples = 3",
            "3: samples: unknown field",
        ),
    ] {
        let found = with(old, new).unwrap_err();
        assert!(
            found.starts_with(&format!("/specs/train.toml:{error}")),
            "{found}, not {error}"
        );
    }
}

#[test]
fn the_examples_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut examples: Vec<_> = std::fs::read_dir(root.join("training"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    examples.push(root.join("shapes/train.toml"));
    assert!(examples.len() > 6, "{examples:?}");
    for example in examples {
        let text = std::fs::read_to_string(&example).unwrap();
        if let Err(error) = Training::parse(&text, &example) {
            panic!("{error}");
        }
    }
}

/// The specification of a selector of two levels.
fn selector() -> String {
    let loss = "kind = \"selector\"\nlevels = [{ run = \"runs/a\", variant = \"a/fixed/0.25\" }, \
                { run = \"runs/b\", variant = \"b/fixed/0.5\" }]";
    WRITTEN
        .replace("kind = \"gaussian\"", loss)
        .replace("classes = 10", "classes = 2")
}

#[test]
fn a_selector_names_the_records_of_each_level() {
    let training = read(&selector()).unwrap();
    assert_eq!((training.loss, training.loss.draws()), (Loss::Selector, 1));
    let levels = training.levels.unwrap();
    let named = levels.iter().map(|level| level.variant.as_str());
    assert_eq!(named.collect::<Vec<_>>(), ["a/fixed/0.25", "b/fixed/0.5"]);
    assert_eq!(levels[0].run, Path::new("/specs/runs/a"));
    assert_eq!(read(WRITTEN).unwrap().levels, None);
}

#[test]
fn a_selector_that_cannot_be_meant_is_refused_with_its_key() {
    for (old, new, error) in [
        (
            "classes = 2",
            "classes = 3",
            "10: model.classes: must be 2, one per item of loss.levels, not 3",
        ),
        (
            "initial = 0.25",
            "initial = 0.25\nchoice = \"data-dependent\"",
            "18: sigma.choice: must be fixed for loss selector",
        ),
        (
            "initial = 0.25",
            "initial = 0.25\nchoice = \"selected\"",
            "18: sigma.choice: a level is selected in certifying only",
        ),
        (
            ", { run = \"runs/b\", variant = \"b/fixed/0.5\" }",
            "",
            "14: loss.levels: must have 2 to 8 levels, not 1",
        ),
        (
            "run = \"runs/b\", ",
            "",
            "14: loss.levels[1].run: is required and missing",
        ),
        (
            "run = \"runs/b\", variant = \"b/fixed/0.5\"",
            "run = \"runs/a\", variant = \"a/fixed/0.25\"",
            "14: loss.levels[1]: is the same as loss.levels[0]",
        ),
        (
            "kind = \"selector\"",
            "kind = \"gaussian\"",
            "14: loss.levels: has no meaning for loss gaussian",
        ),
    ] {
        let text = selector();
        assert!(text.contains(old), "{old}");
        let found = read(&text.replace(old, new)).unwrap_err();
        assert!(found.contains(error), "{found}\nfor {error}");
    }
}
