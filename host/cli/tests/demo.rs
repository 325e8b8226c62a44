//! `weir demo`: rows appear with nothing set up, and a second run goes on where the first was.

mod support;

use support::Place;

fn lines(out: &std::process::Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8(out.stdout.clone()).expect("UTF-8");
    text.lines().map(|l| serde_json::from_str(l).expect("a JSON object a line")).collect()
}

#[test]
fn the_demo_goes_on_where_it_was() {
    let place = Place::new();
    let first = place.weir(&["demo", "--rate", "0", "--rows", "60"]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(said.contains("[source.generator]"), "the TOML that it runs goes to stderr:\n{said}");
    let first = lines(&first);
    assert!(!first.is_empty());
    let again = place.weir(&["demo", "--rate", "0", "--rows", "60"]);
    assert!(again.status.success() && again.stdout.is_empty(), "nothing is sent twice");
    let more = lines(&place.weir(&["demo", "--rate", "0", "--rows", "120"]));
    assert!(!more.is_empty());
    // together they are what one run would have said
    let other = Place::new();
    let whole = lines(&other.weir(&["demo", "--rate", "0", "--rows", "120"]));
    let key = |v: &serde_json::Value| (v["topic"].clone(), v["key"].clone());
    let parts: Vec<_> = first.iter().chain(&more).map(key).collect();
    assert_eq!(parts, whole.iter().map(key).collect::<Vec<_>>());
    let reset = place.weir(&["demo", "--rate", "0", "--rows", "60", "--reset"]);
    assert_eq!(lines(&reset).len(), first.len(), "a reset begins anew");
}
