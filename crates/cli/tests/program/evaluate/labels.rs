//! Labels that are numbers.

use serde_json::json;
use test_support::generator::GeneratedModel;

use super::*;

/// Writes a model with the labels 1 to 5, and returns its folder.
fn stars(folder: &TempDir) -> String {
    let model = folder.path().join("stars");
    fs::create_dir(&model).unwrap();
    let mut config = GeneratedModel::small().config;
    config["id2label"] = json!({"0": "1", "1": "2", "2": "3", "3": "4", "4": "5"});
    GeneratedModel::new(config, 5).write(&model);
    model.to_str().unwrap().to_owned()
}

#[test]
fn column_of_numbers_is_read_in_one_way() {
    let folder = TempDir::new().unwrap();
    let model = stars(&folder);
    let table = folder.path().join("table.csv");
    let table = table.to_str().unwrap();
    let ids = "text,label\nw5,0\nw6,1\nw7,2\nw8,3\nw9,4\n";
    let names = "text,label\nw5,1\nw6,2\nw7,3\nw8,4\nw9,5\n";

    fs::write(table, ids).unwrap();
    let refused = "line 2, row 1: there is no label `0`; the labels are 1, 2, 3, 4, 5, so numbers";
    let options = ["--model", &model, "--json"];
    let output = run(&[&["evaluate", table], &options[..]].concat());
    assert!(failed_with_one_line(&output, 2).contains(refused), "{}", stderr(&output));
    let output = run(&[&["compare", table, "--with-model", &model], &options[..]].concat());
    assert!(failed_with_one_line(&output, 2).contains(refused), "{}", stderr(&output));

    // A file states that numbers are ids.
    let file = folder.path().join("names.txt");
    fs::write(&file, "1\n2\n3\n4\n5\n").unwrap();
    let with_file = ["evaluate", table, "--label-names", file.to_str().unwrap()];
    let by_id = objects(succeeded(&run(&[&with_file[..], &options].concat())));
    fs::write(table, names).unwrap();
    let by_name = objects(succeeded(&run(&[&["evaluate", table], &options[..]].concat())));
    assert_eq!(by_id[0]["confusion"], by_name[0]["confusion"]);
    // In the same way, 5 is an id that the file doesn't name.
    let output = run(&[&with_file[..], &options].concat());
    assert!(failed_with_one_line(&output, 2).contains("row 5: there is no label `5`"));
}

#[test]
fn names_are_not_mixed_with_numbers() {
    let folder = TempDir::new().unwrap();
    let table = folder.path().join("table.csv");
    fs::write(&table, "text,label\nfine,fear\nwow,0\n").unwrap();
    let table = table.to_str().unwrap();
    let output = run(&["evaluate", table]);
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("line 3, row 2: the label `0` is a number, but"), "{message}");
    succeeded(&run(&["evaluate", table, "--map", "0=anger"]));
}
