//! Text that is no TOML, and keys and types that no specification has.

use super::{LEAST, check, check_change};

#[test]
fn text_that_is_no_toml_is_refused_where_it_breaks() {
    check("name = [", "1: name: unclosed array, expected `]`");
    check(
        "name = 's'\nseed = 1 2\n",
        "2: seed: string values must be quoted, expected literal string",
    );
    check(
        "name = 's'\nseed = \n",
        "2: seed: string values must be quoted, expected literal string",
    );
    check("name = 's'\nname = 't'\n", "2: name: duplicate key");
    check(&format!("{LEAST}n0 = 5\n"), "16: certify.n0: duplicate key");
    check(&format!("{LEAST}[certify]\n"), "16: certify: duplicate key");
    check("[dataset\n", "1: dataset: unclosed table, expected `]`");
    check("?", "1: key with no value, expected `=`");
}

#[test]
fn unknown_keys_are_refused_with_those_that_exist() {
    let root = "`name`, `seed`, `dataset`, `model`, `smoothing`, `certify`, `queue`, `report`";
    check(
        &format!("bogus = 1\n{LEAST}"),
        &format!("1: bogus: unknown field `bogus`, expected one of {root}"),
    );
    check(
        &format!("{LEAST}bogus = 1\n"),
        "16: certify.bogus: unknown field `bogus`, expected one of `n0`, `n`, `alpha`, `chunk`, \
         `memory`, `stopping`, `bound`",
    );
    check_change(
        LEAST,
        "[smoothing]",
        "n = 1\n[smoothing]",
        "10: model[0].n: unknown field `n`, expected one of `name`, `path`, `architecture`, \
         `weights`, `classes`, `mean`, `std`, `precision`, `epsilon`, `activation`, \
         `stride-place`, `stem-pooling`, `pooling`, `outputs`",
    );
    check(
        &format!("{LEAST}[queue.more]\n"),
        "16: queue.more: unknown field `more`, expected one of `job-samples`, `lease-seconds`, \
         `max-attempts`",
    );
    check(
        &format!("{LEAST}[report]\nradius = [1]\n"),
        "17: report.radius: unknown field `radius`, expected `radii`",
    );
    check(
        &format!("{LEAST}[smoothing.data-dependent]\nlearning_rate = 1\n"),
        "17: smoothing.data-dependent.learning_rate: unknown field `learning_rate`, expected one \
         of `method`, `iterations`, `draws`, `learning-rate`, `rounds`, `candidates`, `clamp`, \
         `range`",
    );
}

#[test]
fn required_keys_that_are_missing_are_named_with_the_line_of_their_table() {
    for (line, error) in [
        ("name = 's'\n", "1: name"),
        ("seed = 1\n", "1: seed"),
        ("format = 'tensors'\n", "3: dataset.format"),
        ("path = 'd.safetensors'\n", "3: dataset.path"),
        ("name = 'm'\n", "6: model[0].name"),
        ("path = 'm.pt'\n", "6: model[0].path"),
        ("classes = 10\n", "6: model[0].classes"),
        ("sigma = [0.5]\n", "10: smoothing.sigma"),
        ("n0 = 100\n", "12: certify.n0"),
        ("n = 1000\n", "12: certify.n"),
        ("alpha = 0.001\n", "12: certify.alpha"),
        ("[smoothing]\nsigma = [0.5]\n", "1: smoothing.sigma"),
    ] {
        check_change(
            LEAST,
            line,
            "",
            &format!("{error}: is required and missing"),
        );
    }
    check_change(
        LEAST,
        "[[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n",
        "",
        "1: model: at least one [[model]] is required",
    );
    check_change(
        LEAST,
        "m.pt",
        "m.safetensors",
        "6: model[0].architecture: is required for a .safetensors file, and missing",
    );
    check("", "1: name: is required and missing");
}

#[test]
fn values_of_a_wrong_type_are_refused() {
    check_change(
        LEAST,
        "seed = 1",
        "seed = '1'",
        "2: seed: invalid type: string \"1\", expected an integer",
    );
    check_change(
        LEAST,
        "n = 1000",
        "n = 1e5",
        "14: certify.n: invalid type: floating point `100000.0`, expected an integer",
    );
    check_change(
        LEAST,
        "0.001",
        "'x'",
        "15: certify.alpha: invalid type: string \"x\", expected a number",
    );
    check_change(
        LEAST,
        "[0.5]",
        "0.5",
        "11: smoothing.sigma: invalid type: floating point `0.5`, expected a sequence",
    );
    check_change(
        LEAST,
        "[0.5]",
        "[\n0.5,\n'x']",
        "13: smoothing.sigma[1]: invalid type: string \"x\", expected a number",
    );
    check_change(
        LEAST,
        "'tensors'",
        "'png'",
        "4: dataset.format: unknown variant `png`, expected one of `image-folder`, \
         `imagenet`, `cifar10`, `cifar100`, `mnist`, `npz`, `parquet`, `tensors`",
    );
    check_change(
        LEAST,
        "[0.5]",
        "[0.5]\nchoice = ['best']",
        "12: smoothing.choice[0]: unknown variant `best`, expected one of `fixed`, \
             `data-dependent`, `selected`, `file`",
    );
    check_change(
        LEAST,
        "[[model]]",
        "[model]",
        "6: model: must be an array of tables, [[model]]",
    );
    check_change(
        LEAST,
        "[certify]",
        "[[certify]]",
        "12: certify: must be one table, [certify]",
    );
    check_change(
        LEAST,
        "[0.5]",
        "[0.5]\ndata-dependent = [1]",
        "12: smoothing.data-dependent: must be one table",
    );
    let path = "path = 'd.safetensors'";
    check_change(
        LEAST,
        path,
        "path.x = 1",
        "5: dataset.path: invalid type: table, expected a string",
    );
    check_change(
        LEAST,
        "seed = 1",
        "seed = 9223372036854775808",
        "2: seed: invalid value: integer `9223372036854775808`, expected one up to \
         9223372036854775807",
    );
}
